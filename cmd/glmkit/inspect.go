package main

import "github.com/spf13/cobra"

func newInspect(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show what the tokenizer, the corruption and the task patterns do to a text",
	}
	cmd.AddCommand(newInspectBlocks(s))
	cmd.AddCommand(newInspectCloze(s))
	cmd.AddCommand(newInspectConfig(s))
	cmd.AddCommand(newInspectCorpus(s))
	cmd.AddCommand(newInspectSample(s))
	cmd.AddCommand(newInspectSubmission(s))
	cmd.AddCommand(newInspectText(s))
	cmd.AddCommand(newInspectTokens(s))
	return cmd
}
