package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/glmkit/glmkit/configs"
)

// checkOutput says before the work what would keep a file from being written to the
// path that a flag gives: it is a folder, or there is none to write it to. name is
// such a file's, for the advice.
func checkOutput(flag, path, name string) error {
	dir := filepath.Dir(filepath.Clean(path))
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return &configs.Error{Field: path, Msg: "is a folder", Hint: flag + " " + filepath.Join(path, name)}
	case err == nil:
		return nil
	}
	info, err = os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &configs.Error{Field: path, Msg: "its folder is not there", Hint: "mkdir -p " + dir}
	case err == nil && !info.IsDir():
		return &configs.Error{Field: path, Msg: dir + " is a file, not a folder", Hint: "another " + flag}
	}
	return nil
}

// writeOutput writes a file whole or not at all; what says what it is.
func writeOutput(what, path string, content []byte) error {
	err := renameio.WriteFile(path, content, 0o644)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &configs.Error{Field: path, Msg: "its folder cannot be written to: permission denied", Hint: "a folder of your own"}
	case err != nil:
		return fmt.Errorf("writing the %s: %w", what, err)
	}
	return nil
}
