//go:build cgo

package torch

// libtorch's at::parallel_for is a template: without OpenMP, which libtorch is
// built with, it would run on one thread in the C++ files of this package.

// #cgo CXXFLAGS: -fopenmp
// #cgo LDFLAGS: -fopenmp
import "C"

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
)

var (
	startThread sync.Once
	work        chan func()
)

// Do runs fn on the thread that all tensor work happens on and returns its
// error. Calls from several goroutines run one after another; a call from
// inside fn would wait for itself, so fn must not call Do. A panic of fn
// becomes an error that carries the stack.
func Do(fn func() error) error {
	startThread.Do(func() {
		work = make(chan func())
		go func() {
			// Never unlocked: grad mode and the last error live on this thread.
			runtime.LockOSThread()
			for f := range work {
				f()
			}
		}()
	})
	done := make(chan error, 1)
	work <- func() {
		defer func() {
			if p := recover(); p != nil {
				done <- fmt.Errorf("tensor thread: %v\n%s", p, debug.Stack())
			}
		}()
		done <- fn()
	}
	return <-done
}
