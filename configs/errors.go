package configs

import "fmt"

// Error is a configuration or usage that cannot be run: an unknown key, a
// value out of range, an unknown preset. Commands answer it with exit code 2.
type Error struct {
	Path  string // file, preset or assignment that holds it; may be empty
	Line  int    // of Path, from 1; 0 when there is none
	Field string // dotted key, file or flag; may be empty
	Msg   string
	Hint  string // what to do next; may be empty
}

func (e *Error) Error() string {
	msg := e.Msg
	if e.Field != "" {
		msg = e.Field + ": " + msg
	}
	switch {
	case e.Path != "" && e.Line > 0:
		return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, msg)
	case e.Path != "":
		return e.Path + ": " + msg
	}
	return msg
}
