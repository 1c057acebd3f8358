package main

import "github.com/spf13/cobra"

func newInspectConfig(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print a configuration with every key",
		Long: `Print the configuration that a preset or a file and --set amount to, over the
built-in defaults, as YAML that --config reads.`,
		Example: `  glmkit inspect config --config glm-small
  glmkit inspect config --config run.yaml --set train.optimizer.lr=1e-4 > changed.yaml`,
		Args: noArguments,
	}
	load := addConfigFlags(cmd, "glm-base")
	cmd.RunE = func(*cobra.Command, []string) error {
		config, err := load()
		if err != nil {
			return err
		}
		text, err := config.YAML()
		if err != nil {
			return err
		}
		_, err = s.out.Write(text)
		return err
	}
	return cmd
}
