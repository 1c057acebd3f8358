package main

import (
	"context"
	"fmt"
	"testing"
)

// Only a command that keeps its state promises to continue.
func TestInterruptionIsNamedForWhatItIs(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, test := range []struct {
		name      string
		err       error
		continues bool
	}{
		{"state saved", &interruptedError{context.Canceled}, true},
		{"prepare", fmt.Errorf("reading: %w", context.Canceled), true},
		{"nothing kept", &stoppedError{"stopped"}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, hint := classify(ctx, newRoot(streams{}), test.err)
			if code != exitInterrupted || (hint != "") != test.continues {
				t.Errorf("got code %d and the hint %q", code, hint)
			}
		})
	}
}
