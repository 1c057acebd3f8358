package configs

import "fmt"

// Error is a configuration or usage that cannot be run: an unknown key, a
// value out of range, an unknown preset. Commands answer it with exit code 2.
type Error struct {
	Field string // dotted key, file or flag; may be empty
	Msg   string
	Hint  string // what to do next; may be empty
}

func (e *Error) Error() string {
	if e.Field != "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Msg)
	}
	return e.Msg
}
