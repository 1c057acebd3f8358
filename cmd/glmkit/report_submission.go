package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/reports"
	"github.com/glmkit/glmkit/tasks"
)

func newReportSubmission(s streams) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "submission PATH... --out FILE",
		Short: "Make a submission to SuperGLUE's site of results on the test files",
		Long: `Make the zip archive that SuperGLUE's site takes of the results of "glmkit eval
--split test": files, or folders with results below them, one result a task. It
holds a file for each task that was answered; what the site would not take, such
as missing tasks, is told.`,
		Example: `  glmkit report submission results/BoolQ results/others --out glm.zip
  glmkit inspect submission glm.zip`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&out, "out", "", "archive to write, a zip `file` (required)")
	cmd.MarkFlagRequired("out")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := checkOutput("--out", out, "submission.zip"); err != nil {
			return err
		}
		results, err := reports.ReadTestResults(args)
		if err != nil {
			return err
		}
		predictions, from := map[string][]tasks.Prediction{}, map[string]*reports.Result{}
		for _, r := range results {
			if other := from[r.Task]; other != nil {
				return &configs.Error{
					Field: r.Path(),
					Msg:   fmt.Sprintf("is a second result on %s, beside %s", r.Task, other.Path()),
					Hint:  "a submission holds one result a task: name those to submit",
				}
			}
			from[r.Task] = r
			if predictions[r.Task], err = r.ReadPredictions(); err != nil {
				return err
			}
		}
		return submit(s, out, predictions)
	}
	return cmd
}
