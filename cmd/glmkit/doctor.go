package main

import (
	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
)

type doctorOptions struct {
	config *configs.Config
	name   string // of the configuration
	tokens int64
	json   bool
	deviceFlags
}

func newDoctor(s streams) *cobra.Command {
	var o doctorOptions
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Show libtorch, devices, threads and speed, and what is wrong with them",
		Long: `Show the libtorch this glmkit was built with, the devices it sees and its
threads, and speeds measured now: of a matrix product (a slow BLAS is the usual
cause of slow training on a CPU), of every form of attention that this libtorch
has on the device, forward and backward (useful work under GLM's mask; "taken" is
the one that training takes), and of a step of training over made-up windows,
with what that comes to in hours. A large model is tried with some of its layers.

That takes some seconds. A busy machine measures too little. Exits with 4 when
nothing can be trained here.`,
		Example: `  glmkit doctor
  glmkit doctor --config glm-base --tokens 10000000000 --json`,
		Args: noArguments,
	}
	load := addConfigFlags(cmd, "glm-small")
	o.deviceFlags.add(cmd)
	cmd.Flags().Int64Var(&o.tokens, "tokens", 1e9, "say how long training on so many tokens takes")
	cmd.Flags().BoolVar(&o.json, "json", false, "write one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if o.tokens < 1 {
			return &configs.Error{Field: "--tokens", Msg: "must be at least 1", Hint: "--tokens 1000000000"}
		}
		if o.config, err = load(); err != nil {
			return err
		}
		o.name = cmd.Flag("config").Value.String()
		return doctor(s, o)
	}
	return cmd
}
