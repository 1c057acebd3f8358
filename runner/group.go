//go:build cgo

package runner

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/runner/internal/torch"
)

const (
	// collectiveTimeout is c10d's own for Gloo: the last resort, when ranks
	// answer but do not come to the same operation.
	collectiveTimeout = 30 * time.Minute
	// verdictWait is how long a rank whose operation failed waits to learn why.
	verdictWait = 15 * time.Second
	// endWait is how long a rank whose group has failed waits for its own
	// operation to fail, and rank 0 for the others to have read why.
	endWait = 3 * time.Second
)

// Ranks is the processes that train one model together. Each computes its share
// of every batch's micro-batches; gradients are summed, and each updates a stretch
// of the weights with optimizer moments of its own (ZeRO stage 1). A nil *Ranks is
// a process by itself.
type Ranks struct {
	place   Place
	group   *torch.Group
	store   *torch.Store
	pulse   *pulse
	failing bool          // the others may be gone: Close waits for none
	spent   time.Duration // in operations that the ranks do together
}

// Join waits until all processes of a place are there, for at most patience, and
// returns their group; nil where the place is a process by itself. device is that
// of --device. Close the group.
func Join(ctx context.Context, p Place, device string, patience time.Duration) (*Ranks, error) {
	if p.Size == 1 {
		return nil, nil
	}
	r := &Ranks{place: p}
	var on torch.Device
	err := torch.Do(func() (err error) {
		on, err = chooseDevice(r.device(device))
		return err
	})
	if err != nil {
		return nil, err
	}
	if !torch.HasGloo() && (on == torch.CPU || !torch.HasNCCL()) {
		return nil, &DeviceError{
			Msg:  fmt.Sprintf("%d processes are to train together, and libtorch %s was fitted without Gloo (and without NCCL, where CUDA devices are to compute)", p.Size, torch.Version()),
			Hint: "apt-get install libgloo-dev beside Debian's libtorch-dev, then make build; or RANK and WORLD_SIZE unset",
		}
	}
	deadline := time.Now().Add(patience)
	if err := r.meet(ctx, deadline, patience); err != nil {
		if r.store != nil {
			r.store.Close()
		}
		return nil, err
	}
	ready := make(chan error, 1)
	go func() {
		ready <- torch.Do(func() (err error) {
			r.group, err = torch.OpenGroup(r.store, p.Host, p.Rank, p.Size, on, collectiveTimeout)
			return err
		})
	}()
	select {
	case err = <-ready:
	case <-ctx.Done():
		err = ctx.Err()
	case <-time.After(time.Until(deadline)):
		err = fmt.Errorf("the %d ranks met at %s, but cannot reach each other: set GLOO_SOCKET_IFNAME (or NCCL_SOCKET_IFNAME) to the network interface that joins them", p.Size, r.address())
	}
	if err != nil {
		return nil, fmt.Errorf("rank %d of %d: %w", p.Rank, p.Size, err)
	}
	watch, err := torch.OpenStore(p.Host, p.Port, false, deadAfter)
	if err != nil {
		return nil, err
	}
	r.pulse = startPulse(watch, p)
	return r, nil
}

func (r *Ranks) address() string {
	return net.JoinHostPort(r.place.Host, strconv.Itoa(r.place.Port))
}

// meet opens the store and waits for all ranks to have come to it.
func (r *Ranks) meet(ctx context.Context, deadline time.Time, patience time.Duration) error {
	p := r.place
	if p.Rank > 0 {
		// c10d's client warns at every refusal, and cannot be interrupted.
		err := poll(ctx, deadline, func() (bool, error) {
			c, err := net.DialTimeout("tcp", r.address(), time.Second)
			if err == nil {
				c.Close()
			}
			return err == nil, nil
		})
		if errors.Is(err, errTooLate) {
			return fmt.Errorf("rank %d of %d: nobody listens at %s after %s; is rank 0 running, and MASTER_ADDR its machine?", p.Rank, p.Size, r.address(), patience)
		}
		if err != nil {
			return err
		}
	}
	store, err := torch.OpenStore(p.Host, p.Port, p.Rank == 0, deadAfter)
	if err != nil {
		return &configs.Error{Field: "MASTER_PORT", Msg: fmt.Sprintf("rank %d cannot open %s: %v", p.Rank, r.address(), err), Hint: "MASTER_ADDR of rank 0's machine and a MASTER_PORT that is free there, the same for all ranks"}
	}
	r.store = store
	own := "rank/" + strconv.Itoa(p.Rank)
	if other, taken, err := r.store.Get(own); err != nil {
		return err
	} else if taken {
		return &configs.Error{Field: "RANK", Msg: fmt.Sprintf("rank %d is there already, on %s", p.Rank, other), Hint: "every process has a RANK of its own, from 0 to WORLD_SIZE-1"}
	}
	host, _ := os.Hostname()
	if err := r.store.Set(own, host); err != nil {
		return err
	}
	var missing []string
	err = poll(ctx, deadline, func() (bool, error) {
		missing = nil
		for i := range p.Size {
			if _, there, err := r.store.Get("rank/" + strconv.Itoa(i)); err != nil {
				return false, err
			} else if !there {
				missing = append(missing, strconv.Itoa(i))
			}
		}
		return len(missing) == 0, nil
	})
	if errors.Is(err, errTooLate) {
		return fmt.Errorf("rank %d of %d: waited %s at %s, and these ranks did not come: %s", p.Rank, p.Size, patience, r.address(), strings.Join(missing, ", "))
	}
	return err
}

var errTooLate = errors.New("too late")

// poll asks until there is an answer, an error or no time left.
func poll(ctx context.Context, deadline time.Time, answered func() (bool, error)) error {
	for {
		if ok, err := answered(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return errTooLate
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Leads tells whether this process is the one that speaks for all: it writes
// files and shows progress.
func (r *Ranks) Leads() bool { return r == nil || r.place.Rank == 0 }

func (r *Ranks) size() int {
	if r == nil {
		return 1
	}
	return r.place.Size
}

// mine tells whether a micro-batch of a step, counted from 0, falls to this rank.
func (r *Ranks) mine(micro int) bool { return r == nil || micro%r.place.Size == r.place.Rank }

// device resolves --device auto: the CUDA device of the local rank.
func (r *Ranks) device(name string) string {
	if r == nil || name != "auto" && name != "" {
		return name
	}
	// Slurm and Kubernetes may show each process a device of its own alone.
	if have := torch.CUDADevices(); have > 1 {
		return fmt.Sprintf("cuda:%d", r.place.Local)
	}
	return name
}

// threads resolves --threads 0: the ranks of a machine share its cores.
func (r *Ranks) threads(n int) int {
	if r == nil || n > 0 || r.place.LocalSize == 0 {
		return n
	}
	return max(1, runtime.NumCPU()/r.place.LocalSize)
}

// together does what all ranks do at once, and takes its time: that of waiting for
// the slowest of them, and of the network.
func (r *Ranks) together(operation func() error) error {
	began := time.Now()
	err := operation()
	r.spent += time.Since(began)
	return err
}

// exchanging is the time that this rank has spent together with the others.
func (r *Ranks) exchanging() time.Duration {
	if r == nil {
		return 0
	}
	return r.spent
}

// sum adds up each value over all ranks. It runs on the tensor thread, as do all
// methods below that the ranks call together.
func (r *Ranks) sum(values []float64) error {
	if r == nil {
		return nil
	}
	return r.together(func() error { return r.group.Sum(values) })
}

// any tells whether a condition holds on some rank.
func (r *Ranks) any(here bool) (bool, error) {
	if r == nil {
		return here, nil
	}
	v := []float64{0}
	if here {
		v[0] = 1
	}
	err := r.sum(v)
	return v[0] > 0, err
}

// hear returns what rank 0 says.
func (r *Ranks) hear(said string) (string, error) {
	if r == nil {
		return said, nil
	}
	length := []float64{0}
	if r.Leads() {
		length[0] = float64(len(said))
	}
	if err := r.group.Sum(length); err != nil {
		return "", err
	}
	text := make([]float64, int(length[0]))
	if r.Leads() {
		for i := range text {
			text[i] = float64(said[i])
		}
	}
	if err := r.group.Sum(text); err != nil {
		return "", err
	}
	bytes := make([]byte, len(text))
	for i, x := range text {
		bytes[i] = byte(x)
	}
	return string(bytes), nil
}

// train runs f on the tensor thread. It returns when f does, or soon after another
// rank is lost; a rank's own error becomes known to the others. dir is the run's.
func (r *Ranks) train(dir string, f func() (State, error)) (State, error) {
	type result struct {
		state State
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var out result
		out.err = goingOn(dir, torch.Do(func() (err error) {
			out.state, err = f()
			return err
		}))
		done <- out
	}()
	if r == nil {
		out := <-done
		return out.state, out.err
	}
	select {
	case out := <-done:
		return out.state, r.outcome(out.err, dir)
	case <-r.pulse.failed:
	}
	// Over Gloo the operation under way fails too; over NCCL it may hang, and
	// its thread is left to the end of the process.
	r.failing = true
	select {
	case out := <-done:
		return out.state, r.outcome(out.err, dir)
	case <-time.After(endWait):
		return State{}, r.lost(dir)
	}
}

// outcome makes a rank's own error known to the others, and turns one of the
// group into what happened.
func (r *Ranks) outcome(err error, dir string) error {
	var interrupted *Interrupted
	if err == nil || errors.As(err, &interrupted) {
		return err
	}
	r.failing = true
	var group *torch.GroupError
	if !errors.As(err, &group) {
		r.pulse.judge(r.store, fmt.Sprintf("rank %d stopped: %v", r.place.Rank, err))
		return err
	}
	r.pulse.alarm.Store(true)
	select {
	case <-r.pulse.failed:
		return r.lost(dir)
	case <-time.After(verdictWait):
		return fmt.Errorf("the ranks lost each other: %w%s", err, newest(dir))
	}
}

// lost is the error of a rank that ends because another one did.
func (r *Ranks) lost(dir string) error {
	return errors.New(r.pulse.reason + "; so rank " + strconv.Itoa(r.place.Rank) + " stops too" + newest(dir))
}

// newest says what a run that was cut short can go on from.
func newest(dir string) string {
	checkpoint, ok, err := latestCheckpoint(dir)
	if err != nil || !ok {
		return "; nothing was saved yet"
	}
	return fmt.Sprintf("; start all ranks again to go on from %s", filepath.Base(checkpoint))
}

// Close parts from the other ranks. After an error it waits for none of them for
// long.
func (r *Ranks) Close() {
	if r == nil {
		return
	}
	if !r.failing {
		parted := make(chan error, 1)
		go func() { parted <- torch.Do(func() error { return r.group.Sum([]float64{0}) }) }()
		select {
		case err := <-parted:
			r.failing = err != nil
		case <-r.pulse.failed:
			r.failing = true
		}
	}
	r.pulse.stop()
	// The store goes with rank 0's process, which is therefore the last.
	if r.store.Set("left/"+strconv.Itoa(r.place.Rank), "") == nil && r.place.Rank == 0 {
		poll(context.Background(), time.Now().Add(2*endWait), func() (bool, error) {
			for i := range r.place.Size {
				if _, gone, err := r.store.Get("left/" + strconv.Itoa(i)); err != nil || !gone {
					return false, err
				}
			}
			return true, nil
		})
	}
	if !r.failing {
		torch.Do(func() error {
			r.group.Close()
			return nil
		})
		r.store.Close()
	}
}
