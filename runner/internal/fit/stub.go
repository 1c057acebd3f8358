package main

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// diagnostic matches the places that a compiler's output names, in errors, in
// notes and in "required from here".
var diagnostic = regexp.MustCompile(`(?m)^([^\s:][^:\n]*):(\d+):\d+: `)

// placesIn returns for each file the lines that the compiler's output names.
// A line outside any error is harmless: such output comes from a failed
// compilation without warnings, so every place belongs to some error.
func placesIn(output string) map[string][]int {
	places := map[string][]int{}
	for _, match := range diagnostic.FindAllStringSubmatch(output, -1) {
		line, err := strconv.Atoi(match[2])
		if err != nil {
			continue
		}
		places[match[1]] = append(places[match[1]], line)
	}
	return places
}

// firstErrors returns at most n error lines of the compiler's output.
func firstErrors(output string, n int) string {
	var lines []string
	for _, line := range strings.Split(output, "\n") {
		if strings.Contains(line, "error:") {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		lines = strings.Split(strings.TrimSpace(output), "\n")
	}
	return strings.Join(lines[:min(n, len(lines))], "\n")
}

// function is a C function definition in a source file.
type function struct {
	name      string
	signature string // up to and including the opening brace
	first     int    // index of the line that it begins on
	last      int    // index of the line with its closing brace
	void      bool   // it returns nothing
}

var functionName = regexp.MustCompile(`(\w+)\s*\(`)

// functionsIn finds the function definitions that are written as gotch's
// sources write them: the signature and the closing brace start in the first
// column, or all stands on one line. Functions that do not report errors
// through PROTECT are left out: a caller could not learn from them that
// something is missing.
func functionsIn(lines []string) []function {
	var found []function
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" || !isLetter(lines[i][0]) {
			continue
		}
		open := i
		for open < len(lines) && !strings.Contains(lines[open], "{") && !strings.HasSuffix(lines[open], ";") {
			open++
		}
		if open == len(lines) || !strings.Contains(lines[open], "{") {
			i = open // a declaration
			continue
		}
		last := open
		if !strings.HasSuffix(lines[open], "}") {
			for last < len(lines) && lines[last] != "}" {
				last++
			}
		}
		if last == len(lines) {
			break
		}
		text := strings.Join(lines[i:last+1], "\n")
		signature := text[:strings.Index(text, "{")+1]
		name := functionName.FindStringSubmatch(signature)
		if name != nil && strings.Contains(text, "PROTECT(") {
			void := strings.HasPrefix(signature, "void ") && !strings.HasPrefix(signature, "void *")
			found = append(found, function{name: name[1], signature: signature, first: i, last: last, void: void})
		}
		i = last
	}
	return found
}

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

// stub replaces the body of every function of source that covers one of the
// given lines (counted from 1) by one that raises "NAME: not in this
// libtorch". It returns the new text and the names of those functions.
func stub(source string, at []int) (string, []string) {
	lines := strings.Split(source, "\n")
	var out, names []string
	next := 0
	for _, f := range functionsIn(lines) {
		if !slices.ContainsFunc(at, func(line int) bool { return f.first <= line-1 && line-1 <= f.last }) {
			continue
		}
		out = append(out, lines[next:f.first]...)
		out = append(out, f.signature, fmt.Sprintf(`  PROTECT(throw std::runtime_error("%s: not in this libtorch");)`, f.name))
		if !f.void {
			out = append(out, "  return 0;")
		}
		out = append(out, "}")
		next = f.last + 1
		names = append(names, f.name)
	}
	return strings.Join(append(out, lines[next:]...), "\n"), names
}
