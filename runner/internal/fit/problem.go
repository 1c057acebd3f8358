package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// problem is an error with what the user can do about it.
type problem struct {
	err error
	try string
	// environment tells that something is missing on the machine (exit code 4)
	// rather than that the fit failed.
	environment bool
}

func (p *problem) Error() string { return p.err.Error() }
func (p *problem) Unwrap() error { return p.err }

// missing is what the machine lacks.
func missing(try, format string, args ...any) error {
	return &problem{err: fmt.Errorf(format, args...), try: try, environment: true}
}

// advise adds advice to errors of the file system and of the go command that
// have known cures. dir is where things were being written.
func advise(err error, dir string) error {
	var known *problem
	if err == nil || errors.As(err, &known) {
		return err
	}
	text := err.Error()
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || strings.Contains(text, "no space left on device"):
		return &problem{err: fmt.Errorf("the disk is full: %w", err), try: "free some space on the disk of " + dir + ", then the same command again; nothing half done is left behind"}
	case errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission):
		return &problem{err: err, try: "make " + dir + " writable for this user, or use a checkout that is"}
	}
	return err
}
