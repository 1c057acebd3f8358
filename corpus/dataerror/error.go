// Package dataerror holds the error type of bad input. It stands apart so that
// the packages below corpus can return it too; elsewhere it is known as
// corpus.DataError.
package dataerror

import "fmt"

// Error is bad input: it names the file, the line where there is one, what is
// wrong and what to do about it. Commands answer it with exit code 3.
type Error struct {
	Path string
	Line int // from 1; 0 when the whole file is meant
	Err  error
	Hint string // what to do next; may be empty
}

func (e *Error) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }
