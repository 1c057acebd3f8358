// Package hostcuda gives a libtorch without CUDA a CUDA device made of host
// memory, for tests: what glmkit does on a GPU runs without one.
//
// The device computes with libtorch's CPU operations, and with a flash attention
// of its own, and is strict where a GPU is. The host cannot touch its memory;
// fresh memory holds no numbers; an operation between host and device is refused;
// copies that do not wait end late, and are refused where memory is not pinned;
// random numbers come from a generator of the device. It counts how often the host
// waits. What it cannot tell is speed, memory, rounding, and whether NVIDIA's
// kernels work.
//
// A program that imports the package has the device but does not see it before
// Show.
package hostcuda
