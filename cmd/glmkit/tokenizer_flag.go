package main

import "github.com/spf13/cobra"

// addTokenizerFlag adds the required flag that names a vocabulary for
// tokenizer.Open.
func addTokenizerFlag(cmd *cobra.Command, path *string) {
	cmd.Flags().StringVar(path, "tokenizer", "", "`vocabulary`: a vocab.txt, a tokenizer.json, or a folder that holds one (required)")
	cobra.CheckErr(cmd.MarkFlagRequired("tokenizer"))
}
