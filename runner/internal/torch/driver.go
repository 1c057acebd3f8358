//go:build cgo

package torch

// #cgo linux LDFLAGS: -ldl
// #include <dlfcn.h>
// #include <stddef.h>
//
// // The driver's own interface, looked up while running: a build for CPUs has no
// // headers of CUDA, and a machine for CPUs no driver.
// static void *driver(const char *name) {
//   static void *library;
//   if (!library) library = dlopen("libcuda.so.1", RTLD_NOW);
//   return library ? dlsym(library, name) : NULL;
// }
//
// static int device_name(char *name, int size, int device) {
//   int (*get)(char *, int, int) = (int (*)(char *, int, int))driver("cuDeviceGetName");
//   return get && get(name, size, device) == 0;
// }
//
// static int device_memory(size_t *spare, size_t *total) {
//   int (*get)(size_t *, size_t *) = (int (*)(size_t *, size_t *))driver("cuMemGetInfo_v2");
//   return get && get(spare, total) == 0;
// }
import "C"

// DeviceName is what CUDA calls a device, as in "NVIDIA A100-SXM4-80GB"; empty
// where it does not say. libtorch must have seen the device before.
func DeviceName(d Device) string {
	var name [128]C.char
	if d < 0 || C.device_name(&name[0], C.int(len(name)), C.int(d)) == 0 {
		return ""
	}
	return C.GoString(&name[0])
}

// DeviceMemory is how much of the memory of the CUDA device that this thread
// works on is taken, by whomever, and how much there is, bytes; zeros where
// CUDA does not say.
func DeviceMemory() (taken, total uint64) {
	var spare, all C.size_t
	if C.device_memory(&spare, &all) == 0 {
		return 0, 0
	}
	return uint64(all - spare), uint64(all)
}
