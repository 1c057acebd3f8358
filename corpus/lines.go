package corpus

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxLine bounds one line: beyond it the input is hardly text, and would have
// to be held in memory whole.
const maxLine = 1 << 30

// inputFiles resolves files, folders and glob patterns to files, in order.
func inputFiles(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		switch {
		case err == nil && info.IsDir():
			found, err := folderFiles(path)
			if err != nil {
				return nil, err
			}
			files = append(files, found...)
		case err == nil:
			files = append(files, path)
		case errors.Is(err, fs.ErrNotExist) && strings.ContainsAny(path, "*?["):
			found, err := filepath.Glob(path)
			if err != nil {
				return nil, &DataError{Path: path, Err: err, Hint: "a pattern such as 'data/*.jsonl'"}
			}
			found = slices.DeleteFunc(found, func(name string) bool {
				info, err := os.Stat(name)
				return err == nil && info.IsDir()
			})
			if len(found) == 0 {
				return nil, &DataError{Path: path, Err: errors.New("no file matches the pattern"), Hint: "the pattern in quotes, and check the folder's name"}
			}
			files = append(files, found...)
		default:
			return nil, fileError(path, err)
		}
	}
	return files, nil
}

// folderFiles lists the text and JSONL files below dir in lexical order.
func folderFiles(dir string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return fileError(name, err)
		}
		hidden := strings.HasPrefix(entry.Name(), ".") && name != dir
		if entry.IsDir() {
			if hidden {
				return fs.SkipDir
			}
			return nil
		}
		switch ext(name) {
		case ".jsonl", ".json", ".txt":
			if !hidden {
				files = append(files, name)
			}
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = &DataError{Path: dir, Err: errors.New("the folder holds no .jsonl, .json or .txt file"), Hint: "name the files themselves: any other name is read as text, one document a line"}
	}
	return files, err
}

// ext is the extension of a file's name in lower case, without that of its
// compression.
func ext(path string) string {
	path = strings.ToLower(path)
	for _, suffix := range []string{".gz", ".zst"} {
		path = strings.TrimSuffix(path, suffix)
	}
	return filepath.Ext(path)
}

func isJSONL(path string) bool {
	e := ext(path)
	return e == ".jsonl" || e == ".json"
}

// fileError makes a DataError of what the operating system said about an input
// file.
func fileError(path string, err error) error {
	var pathError *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &DataError{Path: path, Err: errors.New("there is no such file"), Hint: "check the path; a pattern with * must match something"}
	case errors.As(err, &pathError):
		err = pathError.Err
	}
	return &DataError{Path: path, Err: err, Hint: "check that the file can be read"}
}

// lineReader reads one file, decompressed, line by line in bounded memory.
type lineReader struct {
	path   string
	file   *os.File
	stored *countingReader // the file's bytes, as they are stored
	text   *bufio.Reader   // decompressed
	close  func()          // of the decompressor
	line   int             // number of the line that next returned, from 1
	offset int64           // decompressed bytes behind that line
	filled bool            // some line was not blank
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func openLines(path string) (*lineReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	r := &lineReader{path: path, file: file, stored: &countingReader{r: file}, close: func() {}}
	text := io.Reader(r.stored)
	switch lower := strings.ToLower(path); {
	case strings.HasSuffix(lower, ".gz"):
		z, err := gzip.NewReader(text)
		if err != nil {
			file.Close()
			return nil, &DataError{Path: path, Err: fmt.Errorf("not a gzip file: %w", err), Hint: "rename the file if it is not compressed, else fetch it again"}
		}
		text, r.close = z, func() { z.Close() }
	case strings.HasSuffix(lower, ".zst"):
		// One goroutine less and a bounded window keep memory flat.
		z, err := zstd.NewReader(text, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			file.Close()
			return nil, &DataError{Path: path, Err: fmt.Errorf("not a Zstandard file: %w", err), Hint: "rename the file if it is not compressed, else fetch it again"}
		}
		text, r.close = z, z.Close
	}
	r.text = bufio.NewReaderSize(text, 256<<10)
	return r, nil
}

// Close closes the file.
func (r *lineReader) Close() error {
	r.close()
	return r.file.Close()
}

// next appends the next line that is not blank to dst, without its end, and
// returns io.EOF behind the last one.
func (r *lineReader) next(dst []byte) ([]byte, error) {
	start := len(dst)
	for {
		part, err := r.text.ReadSlice('\n')
		r.offset += int64(len(part))
		dst = append(dst, part...)
		switch {
		case err == bufio.ErrBufferFull:
			if len(dst)-start > maxLine {
				return dst[:start], &DataError{Path: r.path, Line: r.line + 1, Err: fmt.Errorf("the line is longer than %d MiB", maxLine>>20), Hint: "one document a line: split the file into documents"}
			}
			continue
		case err != nil && err != io.EOF:
			return dst[:start], &DataError{Path: r.path, Line: r.line + 1, Err: fmt.Errorf("reading: %w", err), Hint: "the file is damaged or cut short: fetch it again"}
		case err == io.EOF && len(dst) == start:
			return dst, io.EOF
		}
		r.line++
		line := dst[start:]
		if r.line == 1 {
			if bytes.HasPrefix(line, []byte("\xff\xfe")) || bytes.HasPrefix(line, []byte("\xfe\xff")) {
				return dst[:start], &DataError{Path: r.path, Err: errors.New("the file is UTF-16"), Hint: "convert it: iconv -f UTF-16 -t UTF-8"}
			}
			if mark := []byte("\uFEFF"); bytes.HasPrefix(line, mark) {
				line = append(line[:0], line[len(mark):]...)
			}
		}
		line = bytes.TrimSuffix(line, []byte("\n"))
		line = bytes.TrimSuffix(line, []byte("\r"))
		dst = dst[:start+len(line)]
		if len(bytes.TrimSpace(line)) > 0 {
			r.filled = true
			return dst, nil
		}
		dst = dst[:start]
	}
}

// skip makes a fresh reader go on behind a line that an earlier one returned:
// offset and line are that reader's.
func (r *lineReader) skip(offset int64, line int) error {
	if !r.compressed() {
		if _, err := r.file.Seek(offset, io.SeekStart); err != nil {
			return fileError(r.path, err)
		}
		r.stored.n = offset
	} else if _, err := io.CopyN(io.Discard, r.text, offset); err != nil {
		return &DataError{Path: r.path, Err: fmt.Errorf("reading up to line %d: %w", line, err), Hint: "the file has changed or is damaged"}
	}
	r.offset, r.line, r.filled = offset, line, true
	return nil
}

func (r *lineReader) compressed() bool {
	lower := strings.ToLower(r.path)
	return strings.HasSuffix(lower, ".gz") || strings.HasSuffix(lower, ".zst")
}

// checkNotEmpty is an error when the whole file had no text.
func (r *lineReader) checkNotEmpty() error {
	if r.filled {
		return nil
	}
	return errEmpty(r.path)
}

func errEmpty(path string) error {
	return &DataError{Path: path, Err: errors.New("the file is empty"), Hint: "a file with one document a line, or leave it out"}
}
