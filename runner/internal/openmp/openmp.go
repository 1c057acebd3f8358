//go:build cgo

// Package openmp makes the threads of libtorch's operations good neighbours.
package openmp

// #cgo CFLAGS: -fopenmp -O2
// #cgo LDFLAGS: -fopenmp
// #include <omp.h>
// #include <pthread.h>
// #include <stdlib.h>
// #include <unistd.h>
//
// // A team of more threads than there are cores, which stays until the process ends.
// // The region must do something: the compiler leaves out an empty one.
// static void *crowd(void *unused) {
//   volatile int done = 0;
// #pragma omp parallel num_threads(omp_get_num_procs() + 1)
//   done = 1;
//   for (;;)
//     pause();
//   return NULL;
// }
//
// static void sleep_when_waiting(void) {
// #if defined(__GNUC__) && !defined(__clang__)
//   pthread_t thread;
//   if (!getenv("OMP_WAIT_POLICY") && !getenv("GOMP_SPINCOUNT") && pthread_create(&thread, NULL, crowd, NULL) == 0)
//     pthread_detach(thread);
// #endif
// }
import "C"

import "sync"

// SleepWhenWaiting makes OpenMP's threads sleep where they wait for each other,
// from soon after the first call on; OMP_WAIT_POLICY and GOMP_SPINCOUNT, where the
// user has set one, decide instead.
//
// GNU's OpenMP lets a thread that waits spin 300,000 times first. Beside other
// programs, each of the thousands of waits of a training step then takes the core
// from the very thread that is waited for. Where a process has more OpenMP threads than
// cores it spins 100 times (libgomp's manual, GOMP_SPINCOUNT), so some that never
// work make it do so: the variable itself is read before main, too early to be set.
var SleepWhenWaiting = sync.OnceFunc(func() { C.sleep_when_waiting() })
