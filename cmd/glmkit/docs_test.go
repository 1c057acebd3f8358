package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestDocumentedCommands parses every glmkit command line of the documents and
// of the commands' own examples, without running it: the command must be there,
// and know the flags.
func TestDocumentedCommands(t *testing.T) {
	texts := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[path] = codeOf(string(text))
		}
	}
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Runnable() && !cmd.HasSubCommands() && cmd.Example == "" && cmd.Name() != "version" && cmd.Name() != "doctor" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, m := range flagNames.FindAllStringSubmatch(cmd.Flags().FlagUsages(), -1) {
			flag := cmd.Flag(m[1])
			if required := flag.Annotations[cobra.BashCompOneRequiredFlag] != nil; required != strings.Contains(flag.Usage, "(required") {
				t.Errorf("%s --help: that --%s is required is %t, and it says otherwise", cmd.CommandPath(), m[1], required)
			}
		}
		texts[cmd.CommandPath()+" --help"] = cmd.Example
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(streams{}))

	seen := 0
	for where, text := range texts {
		for _, line := range commandLines(text) {
			seen++
			if err := parses(line); err != nil {
				t.Errorf("%s: glmkit %s: %v", where, strings.Join(line, " "), err)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d command lines found: is the search for them broken?", seen)
	}
}

// codeOf returns the indented and the fenced code of a Markdown text.
func codeOf(markdown string) string {
	var code []string
	fenced := false
	for _, line := range strings.Split(markdown, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
		} else if fenced || strings.HasPrefix(line, "    ") {
			code = append(code, line)
		}
	}
	return strings.Join(code, "\n")
}

var (
	continued = regexp.MustCompile(`\\\n\s*`)
	// What the shell takes away before glmkit sees its arguments.
	shellEnd = regexp.MustCompile(`\s(\||>|<|&&|#|;).*`)
	quoted   = regexp.MustCompile(`'[^']*'|"[^"]*"`)
)

// commandLines returns the arguments of the glmkit calls in a piece of shell.
func commandLines(text string) [][]string {
	var lines [][]string
	for _, line := range strings.Split(continued.ReplaceAllString(text, " "), "\n") {
		line = strings.TrimPrefix(strings.TrimSpace(line), "$ ")
		rest, ok := strings.CutPrefix(strings.TrimPrefix(line, "./"), "glmkit ")
		if !ok {
			continue
		}
		rest = quoted.ReplaceAllString(rest, "QUOTED")
		lines = append(lines, strings.Fields(shellEnd.ReplaceAllString(rest, "")))
	}
	return lines
}

func parses(args []string) error {
	var discard bytes.Buffer
	root := newRoot(streams{in: &discard, out: &discard, err: &discard})
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if help, _ := cmd.Flags().GetBool("help"); help {
		return nil
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err
	}
	return cmd.ValidateRequiredFlags()
}

func TestDocumentedCommandsComplain(t *testing.T) {
	tests := []struct{ text, want string }{
		{"glmkit prepare corpus a.jsonl --tokenizer v --out d | head", ""},
		{"$ ./glmkit prepare corpus 'a b*.jsonl' \\\n   --tokenizer v --out d # here", ""},
		{"glmkit prepare corpus --help", ""},
		{"glmkit prepare corpse a.jsonl", "unknown command"},
		{"glmkit prepare corpus a.jsonl --tokeniser v --out d", "unknown flag: --tokeniser"},
		{"glmkit prepare corpus a.jsonl --out d", `required flag(s) "tokenizer" not set`},
		{"glmkit prepare corpus --tokenizer v --out d", "requires at least 1 arg"},
	}
	for _, test := range tests {
		lines := commandLines(test.text)
		if len(lines) != 1 {
			t.Errorf("%s: found %q", test.text, lines)
			continue
		}
		err := parses(lines[0])
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.text, err, test.want)
		}
	}
}
