//go:build cgo

package runner

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glmkit/glmkit/runner/internal/torch"
)

const (
	beatEvery = 500 * time.Millisecond
	// deadAfter without a beat a rank counts as lost. A machine that is merely
	// busy is late by seconds.
	deadAfter = 30 * time.Second
	// deadAfterAlarm is the same once an operation between ranks has failed: the
	// process is gone then, and the question is only which.
	deadAfterAlarm = 3 * time.Second
)

// pulse shows the other ranks that this one lives, and learns of their end. All
// ranks beat in the store; rank 0, which serves the store, listens and judges; the
// others wait for its verdict, or for the store to fall silent.
type pulse struct {
	place  Place
	store  *torch.Store // a connection of its own
	alarm  atomic.Bool  // an operation failed here
	answer atomic.Int64 // when the store answered last, in Unix nanoseconds

	failed chan struct{} // closed once, after reason is set
	once   sync.Once
	reason string

	quit, ended chan struct{}
}

func startPulse(s *torch.Store, p Place) *pulse {
	u := &pulse{place: p, store: s, failed: make(chan struct{}), quit: make(chan struct{}), ended: make(chan struct{})}
	u.answer.Store(time.Now().UnixNano())
	go u.beat()
	go u.listen()
	return u
}

// stop ends the beats.
func (u *pulse) stop() {
	close(u.quit)
	select {
	case <-u.ended:
		u.store.Close()
	case <-time.After(time.Second): // the store hangs
	}
}

func (u *pulse) fail(reason string) {
	u.once.Do(func() {
		u.reason = reason
		close(u.failed)
	})
}

// judge makes a verdict known to all ranks, through a connection that the caller
// may use.
func (u *pulse) judge(s *torch.Store, reason string) {
	if earlier, ok, err := s.Get("verdict"); err == nil && ok {
		reason = earlier
	} else {
		s.Set("verdict", reason)
	}
	u.fail(reason)
}

// silent is the verdict on rank 0.
func (u *pulse) silent() {
	u.fail(fmt.Sprintf("rank 0, at %s, does not answer any more: it was killed, or its machine is gone", u.place.Host))
}

// listen notices a store that neither answers nor fails.
func (u *pulse) listen() {
	for {
		select {
		case <-u.quit:
			return
		case <-u.failed:
			return
		case <-time.After(time.Second):
		}
		if time.Since(time.Unix(0, u.answer.Load())) > deadAfter {
			u.silent()
		}
	}
}

// beat writes this rank's beats and reads what there is to read, until stop.
func (u *pulse) beat() {
	defer close(u.ended)
	heard := make([]heartbeat, u.place.Size)
	for i := range heard {
		heard[i].at = time.Now()
	}
	var alarmed time.Time
	for n := 1; ; n++ {
		if err := u.round(n, heard, &alarmed); err != nil {
			u.silent()
			return
		}
		u.answer.Store(time.Now().UnixNano())
		select {
		case <-u.quit:
			return
		case <-time.After(beatEvery):
		}
	}
}

// heartbeat is the newest beat of a rank, and when it was first seen.
type heartbeat struct {
	beat string
	at   time.Time
}

// round is one beat. Its error is that of the store.
func (u *pulse) round(n int, heard []heartbeat, alarmed *time.Time) error {
	if err := u.store.Set("beat/"+strconv.Itoa(u.place.Rank), strconv.Itoa(n)); err != nil {
		return err
	}
	if u.alarm.Load() {
		if err := u.store.Set("alarm", ""); err != nil {
			return err
		}
	}
	if verdict, ok, err := u.store.Get("verdict"); err != nil {
		return err
	} else if ok {
		u.fail(verdict)
	}
	if u.place.Rank > 0 {
		return nil
	}
	if _, alarm, err := u.store.Get("alarm"); err != nil {
		return err
	} else if alarm && alarmed.IsZero() {
		*alarmed = time.Now()
	}
	patience := deadAfter
	if !alarmed.IsZero() {
		patience = deadAfterAlarm
	}
	for i := 1; i < len(heard); i++ {
		beat, _, err := u.store.Get("beat/" + strconv.Itoa(i))
		if err != nil {
			return err
		}
		if beat != heard[i].beat {
			heard[i] = heartbeat{beat, time.Now()}
		} else if time.Since(heard[i].at) > patience {
			host, _, _ := u.store.Get("rank/" + strconv.Itoa(i))
			u.judge(u.store, fmt.Sprintf("rank %d, on %s, does not answer any more: it was killed, or its machine is gone", i, host))
		}
	}
	if !alarmed.IsZero() && time.Since(*alarmed) > verdictWait-2*deadAfterAlarm {
		u.judge(u.store, "an operation between the ranks failed, although all of them answer")
	}
	return nil
}
