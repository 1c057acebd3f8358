package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/reports"
)

func newReportPublished(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "published",
		Short: "List the published results that glmkit knows, with their sources",
		Long: `List the published results that glmkit knows, as Markdown: SuperGLUE, CLUE, GLUE
and SQuAD, language modelling, summarisation. Each has its source and how it was
read: [I] off a picture of the printed table, [RM] in the README of the authors'
repository, [S] in a second source that quotes the paper. Figures that were only
remembered are left out.`,
		Example: "  glmkit report published",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			tables, err := reports.PublishedTables()
			if err != nil {
				return err
			}
			for i, table := range tables {
				if i > 0 {
					fmt.Fprintln(s.out)
				}
				if err := table.MarkdownPublished(s.out); err != nil {
					return err
				}
			}
			return nil
		},
	}
}
