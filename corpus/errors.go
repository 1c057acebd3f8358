package corpus

import "fmt"

// DataError is bad input: it names the file, the line where there is one, what
// is wrong and what to do about it. Commands answer it with exit code 3.
type DataError struct {
	Path string
	Line int // from 1; 0 when the whole file is meant
	Err  error
	Hint string // what to do next; may be empty
}

func (e *DataError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.Path, e.Err)
}

func (e *DataError) Unwrap() error { return e.Err }
