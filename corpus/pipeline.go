package corpus

import (
	"context"
	"sync"
)

// inOrder runs a pipeline: produce fills items one after the other, jobs
// goroutines work on them side by side, and consume takes them in the order in
// which they were produced, whatever worker finished first. newWorker makes
// each worker's own function. Items are used again, so memory is bounded by
// their number, which depends on jobs alone.
//
// produce returns false when there is nothing more. The error returned is the
// first in the order of the items; the items before it have been consumed.
func inOrder[T any](ctx context.Context, jobs int, produce func(*T) (bool, error), newWorker func() func(*T) error, consume func(*T) error) error {
	type slot struct {
		item T
		err  error
		done chan struct{} // one token when the worker has finished
	}
	slots := 2*jobs + 1
	free := make(chan *slot, slots)
	todo := make(chan *slot, slots)
	queue := make(chan *slot, slots)
	for range slots {
		free <- &slot{done: make(chan struct{}, 1)}
	}
	quit := make(chan struct{})
	var running sync.WaitGroup
	defer running.Wait()
	defer close(quit)

	running.Add(1)
	go func() {
		defer running.Done()
		defer close(todo)
		defer close(queue)
		for {
			var s *slot
			select {
			case s = <-free:
			case <-quit:
				return
			}
			more, err := produce(&s.item)
			if err != nil {
				s.err = err
				s.done <- struct{}{}
				queue <- s
				return
			}
			if !more {
				return
			}
			// Both hold every slot there is: these sends never block.
			todo <- s
			queue <- s
		}
	}()
	for range jobs {
		running.Add(1)
		go func() {
			defer running.Done()
			work := newWorker()
			for s := range todo {
				select {
				case <-quit:
					return
				default:
				}
				s.err = work(&s.item)
				s.done <- struct{}{}
			}
		}()
	}
	for s := range queue {
		select {
		case <-s.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.err != nil {
			return s.err
		}
		if err := consume(&s.item); err != nil {
			return err
		}
		free <- s
	}
	return nil
}
