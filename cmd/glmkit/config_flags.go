package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
)

// addConfigFlags gives cmd the flags --config and --set and returns the
// function that reads the configuration they name, to be called when cmd runs.
// preset is what holds without --config.
func addConfigFlags(cmd *cobra.Command, preset string) (load func() (*configs.Config, error)) {
	name := cmd.Flags().String("config", preset, "preset ("+strings.Join(configs.Presets(), ", ")+") or YAML `file`")
	sets := cmd.Flags().StringArray("set", nil, "change one value, as in train.optimizer.lr=1e-4 (repeatable; `key=value`)")
	complete := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return configs.Presets(), cobra.ShellCompDirectiveDefault
	}
	if err := cmd.RegisterFlagCompletionFunc("config", complete); err != nil {
		cobra.CompErrorln(err.Error()) // completion is a comfort, not a need
	}
	return func() (*configs.Config, error) { return configs.Load(*name, *sets) }
}
