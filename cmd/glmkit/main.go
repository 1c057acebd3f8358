// Command glmkit prepares corpora and tasks, trains and evaluates GLM and
// BERT, and reports their comparison.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sameSignal is how long one request to stop may come several times: a terminal or
// timeout(1) tells all processes, and torchrun tells its own again.
const sameSignal = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second request falls back to the default action: the process ends at once.
	context.AfterFunc(ctx, func() {
		time.Sleep(sameSignal)
		stop()
	})
	code := run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	os.Exit(code)
}
