package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/glmkit/glmkit/configs"
	"github.com/glmkit/glmkit/reports"
)

func newReportMLflow(s streams) *cobra.Command {
	var server reports.MLflow
	var runs []string
	cmd := &cobra.Command{
		Use:   "mlflow RESULTS...",
		Short: "Send results and training logs to an MLflow server",
		Long: `Send finished results (files, or folders with results below them) to an MLflow
tracking server, over its REST API: a result becomes a run with its metrics, its
settings and the hashes of checkpoint, data and predictions. With --runs the logs
of the training runs below the folders named become runs too, with loss, learning
rate, tokens and speed by step.

What the experiment has already is not sent again, so that the command may be
repeated as results come in. MLFLOW_TRACKING_TOKEN is sent as a bearer token; a
user and a password may stand in the address.`,
		Example: `  glmkit report mlflow results --url http://localhost:5000 --experiment glm-base
  glmkit report mlflow results --runs runs --runs finetuned`,
		Args: cobra.MinimumNArgs(1),
	}
	cmd.Flags().StringVar(&server.URL, "url", "", "`address` of the server (default: MLFLOW_TRACKING_URI)")
	cmd.Flags().StringVar(&server.Experiment, "experiment", "glmkit", "`name` of the experiment, made where it is missing")
	cmd.Flags().StringArrayVar(&runs, "runs", nil, "`folder` of training runs to send as well (may be repeated)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if server.URL == "" {
			server.URL = os.Getenv("MLFLOW_TRACKING_URI")
		}
		if server.URL == "" {
			return &configs.Error{Field: "--url", Msg: "no server is named", Hint: "--url http://localhost:5000, or MLFLOW_TRACKING_URI"}
		}
		server.Token = os.Getenv("MLFLOW_TRACKING_TOKEN")
		return sendToMLflow(cmd.Context(), s, &server, args, runs)
	}
	return cmd
}

func sendToMLflow(ctx context.Context, s streams, server *reports.MLflow, paths, folders []string) error {
	results, err := reports.ReadResults(paths)
	if err != nil {
		return err
	}
	var runs []*reports.TrainingRun
	if len(folders) > 0 {
		if runs, err = reports.ReadTrainingRuns(folders); err != nil {
			return err
		}
		reports.Attach(runs, results)
	}
	logged, err := server.Log(ctx, results, runs)
	if logged.Made > 0 || err == nil {
		fmt.Fprintf(s.out, "Experiment %s: %d runs sent, %d were there.\n", server.Experiment, logged.Made, logged.There)
	}
	return err
}
