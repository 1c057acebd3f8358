package tasks

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/glmkit/glmkit/corpus"
)

// fileForms are the endings of files that a task can have.
var fileForms = []string{".jsonl", ".tsv", ".source", ".txt", ".json"}

const gzipExtension = ".gz"

// Source is the path of a split's file in a folder: compressed where only that
// is there.
func (t *Task) Source(folder, split string) string {
	path := filepath.Join(folder, t.File(split))
	if _, err := os.Stat(path); err != nil {
		if _, err := os.Stat(path + gzipExtension); err == nil {
			return path + gzipExtension
		}
	}
	return path
}

// source is a split's file, or the two that make it, as lines that parse knows:
// whatever is no table becomes JSON objects.
type source struct {
	io.Reader
	files []*os.File
	raw   []io.Reader // of files, counted
	read  []*tally    // what was read of files
}

// openSource opens a file by its form. A file that cannot be opened is a
// corpus.DataError.
func openSource(path string, d dataFile) (*source, error) {
	s := &source{}
	lines, err := s.add(path)
	if err != nil {
		return nil, err
	}
	plain := strings.TrimSuffix(path, gzipExtension)
	switch filepath.Ext(plain) {
	case ".source":
		target := strings.TrimSuffix(plain, ".source") + ".target" + strings.TrimPrefix(path, plain)
		answers, err := s.add(target)
		if err != nil {
			s.Close()
			return nil, err
		}
		lines = &lineStream{next: pairs(path, target, lines, answers)}
	case ".txt":
		lines = &lineStream{next: texts(lines)}
	case ".json":
		wanted, err := d.articles(filepath.Dir(path))
		if err != nil {
			s.Close()
			return nil, err
		}
		lines = &lineStream{next: squad(path, lines, wanted)}
	}
	s.Reader = lines
	return s, nil
}

// add opens one file and counts what is read of it.
func (s *source) add(path string) (io.Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(path, err)
	}
	read := &tally{sum: sha256.New()}
	var content io.Reader = io.TeeReader(f, read)
	s.files, s.read, s.raw = append(s.files, f), append(s.read, read), append(s.raw, content)
	if strings.HasSuffix(path, gzipExtension) {
		if content, err = gzip.NewReader(content); err != nil {
			s.Close()
			return nil, &corpus.DataError{Path: path, Err: fmt.Errorf("%w: %w", errUnreadable, err), Hint: "a whole file compressed by gzip"}
		}
	}
	return content, nil
}

// Close closes the files.
func (s *source) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// bytes is how much of the files was read.
func (s *source) bytes() (n int64) {
	for _, read := range s.read {
		n += read.n
	}
	return n
}

// sha256 identifies the files, as SplitSummary.SourceSHA256 says. It reads them
// to their ends.
func (s *source) sha256(ctx context.Context) (string, error) {
	sums := ""
	for i, raw := range s.raw {
		for buffer := make([]byte, 1<<20); ; {
			if err := ctx.Err(); err != nil {
				return "", err
			}
			if _, err := raw.Read(buffer); err == io.EOF {
				break
			} else if err != nil {
				return "", openError(s.files[i].Name(), err)
			}
		}
		sums += s.read[i].hex()
	}
	if len(s.files) == 1 {
		return sums, nil
	}
	return sha256Hex([]byte(sums)), nil
}

// sourceSum is the sum of a split's files.
func (t *Task) sourceSum(ctx context.Context, folder, split string) (string, error) {
	s, err := openSource(t.Source(folder, split), t.files[split])
	if err != nil {
		return "", err
	}
	defer s.Close()
	return s.sha256(ctx)
}

// SourceBytes is the size of a split's files in a folder, 0 where they are not.
func (t *Task) SourceBytes(folder, split string) (n int64) {
	path := t.Source(folder, split)
	paths := []string{path}
	if plain := strings.TrimSuffix(path, gzipExtension); strings.HasSuffix(plain, ".source") {
		paths = append(paths, strings.TrimSuffix(plain, ".source")+".target"+strings.TrimPrefix(path, plain))
	}
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil {
			n += info.Size()
		}
	}
	return n
}

// lineStream is a reader of lines that are made when they are asked for.
type lineStream struct {
	next func() ([]byte, error) // a line without its end; io.EOF behind the last
	left []byte
}

func (l *lineStream) Read(p []byte) (int, error) {
	for len(l.left) == 0 {
		line, err := l.next()
		if err != nil {
			return 0, err
		}
		l.left = append(line, '\n')
	}
	n := copy(p, l.left)
	l.left = l.left[n:]
	return n, nil
}

// scan yields the lines of a text file, without a byte order mark.
func scan(r io.Reader) func() ([]byte, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	first := true
	return func() ([]byte, error) {
		if !lines.Scan() {
			if lines.Err() != nil {
				return nil, lines.Err()
			}
			return nil, io.EOF
		}
		line := lines.Bytes()
		if first {
			line, first = bytes.TrimPrefix(line, []byte("\ufeff")), false
		}
		return line, nil
	}
}

// object makes a line of JSON; a line that is not UTF-8 stays as it is, for its
// reader to complain of.
func object(fields map[string]string) ([]byte, error) {
	for _, text := range fields {
		if !utf8.ValidString(text) {
			return []byte(text), nil
		}
	}
	return json.Marshal(fields)
}

// texts makes {"text": line} of each line.
func texts(r io.Reader) func() ([]byte, error) {
	next := scan(r)
	return func() ([]byte, error) {
		line, err := next()
		if err != nil || len(bytes.TrimSpace(line)) == 0 {
			return nil, err
		}
		return object(map[string]string{"text": string(line)})
	}
}

// pairs makes {"source": line, "target": line} of two files of equally many lines.
func pairs(path, targetPath string, source, target io.Reader) func() ([]byte, error) {
	left, right := scan(source), scan(target)
	line := 0
	return func() ([]byte, error) {
		line++
		text, err := left()
		answer, answerErr := right()
		switch {
		case err == io.EOF && answerErr == io.EOF:
			return nil, io.EOF
		case err != nil && err != io.EOF:
			return nil, err
		case answerErr != nil && answerErr != io.EOF:
			return nil, &corpus.DataError{Path: targetPath, Line: line, Err: fmt.Errorf("%w: %w", errUnreadable, answerErr), Hint: "one answer a line"}
		case err == io.EOF || answerErr == io.EOF:
			short, long := path, targetPath
			if answerErr == io.EOF {
				short, long = targetPath, path
			}
			return nil, &corpus.DataError{
				Path: short, Line: line,
				Err:  fmt.Errorf("%w: it has %d lines, and %s more", errUnreadable, line-1, filepath.Base(long)),
				Hint: "the answer to a line of .source stands on the same line of .target",
			}
		}
		return object(map[string]string{"source": string(text), "target": string(answer)})
	}
}
