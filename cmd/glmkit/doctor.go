package main

import "github.com/spf13/cobra"

func newDoctor(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Show libtorch, devices, threads and speed, and what is wrong with them",
		Long: `Show the libtorch this glmkit was built with, the devices it sees, its threads,
and the speed of a matrix product measured now: a slow BLAS is the usual cause
of slow training on a CPU. Exits with 4 when nothing can be trained here.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return doctor(s) },
	}
}
