//go:build cgo

package hostcuda

// #include <stdlib.h>
// #include "hostcuda.h"
import "C"

import "unsafe"

// Available tells whether there is the device: not where libtorch has CUDA itself.
var Available = C.hostcuda_install() != 0

// Show makes libtorch see one device or, with false, none.
func Show(on bool) {
	devices := C.int(0)
	if on && Available {
		devices = 1
	}
	C.hostcuda_show(devices)
}

// Counts are the operations that the device was given so far, kernels and copies,
// and how often the host waited for it.
func Counts() (operations, waits int) {
	var o, w C.int64_t
	C.hostcuda_counts(&o, &w)
	return int(o), int(w)
}

// Calls lists what was asked of the device since the last time, a name and how
// often a line, with the reasons for waits.
func Calls() string {
	text := C.hostcuda_calls()
	defer C.free(unsafe.Pointer(text))
	return C.GoString(text)
}
