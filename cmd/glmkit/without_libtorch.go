//go:build !cgo

package main

import "context"

// noLibtorch answers the commands that compute, in a binary built without cgo.
func noLibtorch() error {
	return &deviceError{
		msg:  "this glmkit was built without libtorch, so it cannot train or evaluate",
		hint: "make build, on a machine with a C++ compiler and libtorch",
	}
}

func pretrain(context.Context, streams, pretrainOptions) error   { return noLibtorch() }
func finetune(context.Context, streams, finetuneOptions) error   { return noLibtorch() }
func convert(context.Context, streams, convertOptions) error     { return noLibtorch() }
func evaluate(context.Context, streams, evalOptions) error       { return noLibtorch() }
func fill(context.Context, streams, fillOptions) error           { return noLibtorch() }
func perplexity(context.Context, streams, languageOptions) error { return noLibtorch() }
func lambada(context.Context, streams, languageOptions) error    { return noLibtorch() }
func doctor(streams, doctorOptions) error                        { return noLibtorch() }
