// Package torch is the tensor layer of glmkit: the operations that GLM and
// BERT need, over gotch's C bindings (libtch) and one C++ file of ours for
// what those lack. It is the only package that imports gotch.
//
// Three rules keep it small and safe:
//
//   - All work runs on one OS thread, reached through Do: libtorch's grad mode
//     and libtch's last error are per thread, and a goroutine may move between
//     two calls.
//   - A Scope owns what is made inside it and frees it when it is closed;
//     nothing waits for Go's garbage collector.
//   - An error sticks to its Scope: later operations do nothing, and Err tells
//     of the first one. No operation panics.
package torch
