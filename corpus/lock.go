package corpus

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

// A fileLock keeps other processes, on this machine or on others that share the
// file system, from work that this one does. It ends with the process, however
// that ends.
type fileLock struct{ file *os.File }

// tryLock takes the lock that the file at path stands for, making the file
// where it is missing. It returns nil where another process holds the lock. A
// file system without locks grants every one: what is guarded by them is
// written so that two who do the same work write the same bytes.
func tryLock(path string, shared bool) (*fileLock, error) {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, f.Close()
		}
		// A process that finished may have removed the file between the two
		// calls: the lock of a file without a name keeps nobody out.
		mine, err := f.Stat()
		if err != nil {
			f.Close()
			return nil, err
		}
		if now, err := os.Stat(path); err == nil && os.SameFile(mine, now) {
			return &fileLock{f}, nil
		}
		f.Close()
	}
}

// TryLock keeps other processes that ask for it, here or on machines that share
// the file system, from the file at path, which it makes where it is missing.
// release gives it back, as does the end of the process; it is nil where another
// process holds the lock.
func TryLock(path string) (release func(), err error) {
	file, err := LockFile(path)
	if file == nil || err != nil {
		return nil, err
	}
	return func() { file.Close() }, nil
}

// LockFile is TryLock with the open file that is the lock: it lasts until the file
// is closed here and in every process that was started with it. nil says that
// another process holds the lock.
func LockFile(path string) (*os.File, error) {
	lock, err := tryLock(path, false)
	if lock == nil || err != nil {
		return nil, err
	}
	return lock.file, nil
}

// unlock gives the lock back. A nil lock is none.
func (l *fileLock) unlock() {
	if l != nil {
		l.file.Close()
	}
}

// exclusive turns a shared lock into one for this process alone, if nobody else
// shares it. Where that fails the lock stays shared.
func (l *fileLock) exclusive() bool {
	if err := syscall.Flock(int(l.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		// The system gives the old lock up before it tries for the new one.
		syscall.Flock(int(l.file.Fd()), syscall.LOCK_SH)
		return false
	}
	return true
}

// share lets others in again.
func (l *fileLock) share() { syscall.Flock(int(l.file.Fd()), syscall.LOCK_SH) }

// Pauses between two looks at what other processes have done.
const (
	shortestPause = 20 * time.Millisecond
	longestPause  = 2 * time.Second
)

// poll calls ready, after ever longer pauses, until it says true or fails or
// the context ends.
func poll(ctx context.Context, ready func() (bool, error)) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := shortestPause; ; pause = min(2*pause, longestPause) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
		if ok, err := ready(); ok || err != nil {
			return err
		}
		timer.Reset(pause)
	}
}
