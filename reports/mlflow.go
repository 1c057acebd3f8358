package reports

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/glmkit/glmkit/configs"
)

// MLflow is a tracking server. Its REST API is that of MLflow 1 to 3
// (https://mlflow.org/docs/latest/rest-api.html, paths below /api/2.0/mlflow).
type MLflow struct {
	// URL is the server's, such as http://localhost:5000. A user and password in it
	// are sent as basic authentication.
	URL string
	// Token, if any, is sent as a bearer token instead.
	Token      string
	Experiment string       // made where it is missing
	Client     *http.Client // nil: one with a minute's patience
}

// What one log-batch request may hold.
const (
	mostMetrics = 900 // 1,000 values of all kinds together
	mostParams  = 90  // 100
	mostValue   = 500 // letters of a parameter, what the oldest servers take
)

// sourceTag holds the identity of what a run was logged from, so that logging it
// again makes no second run.
const sourceTag = "glmkit.source"

// Logged counts the runs that Log made, and those that were there.
type Logged struct{ Made, There int }

type (
	mlMetric struct {
		Key       string  `json:"key"`
		Value     float64 `json:"value"`
		Timestamp int64   `json:"timestamp"` // milliseconds
		Step      int64   `json:"step"`
	}
	mlPair struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	// mlRun is what becomes one run of the server.
	mlRun struct {
		name, source string
		start, end   time.Time
		metrics      []mlMetric
		params, tags []mlPair
	}
)

// Log makes a run of every result and of every training run with points, but for
// those that the experiment has already. Errors are a configs.Error where the
// address is none or the server refuses what is asked.
func (m *MLflow) Log(ctx context.Context, results []*Result, runs []*TrainingRun) (Logged, error) {
	var logged Logged
	experiment, err := m.experiment(ctx)
	if err != nil {
		return logged, err
	}
	var all []mlRun
	for _, r := range results {
		all = append(all, resultRun(r))
	}
	for _, r := range runs {
		if len(r.Points) > 0 {
			all = append(all, r.mlRun())
		}
	}
	for _, run := range all {
		there, err := m.find(ctx, experiment, run.source)
		if err != nil {
			return logged, err
		}
		if there {
			logged.There++
			continue
		}
		if err := m.create(ctx, experiment, run); err != nil {
			return logged, err
		}
		logged.Made++
	}
	return logged, nil
}

// resultRun is a result as a run: its metrics, and what it was measured on.
func resultRun(r *Result) mlRun {
	began := r.Date.Add(-time.Duration(r.WallSeconds * float64(time.Second)))
	run := mlRun{name: fileName(r), source: "result " + r.Predictions.SHA256 + " " + r.CheckpointSHA256, start: began, end: r.Date}
	for _, metric := range r.Metrics {
		run.metrics = append(run.metrics, mlMetric{Key: metric.Name, Value: metric.Value, Timestamp: r.Date.UnixMilli(), Step: r.Steps})
	}
	run.params = []mlPair{
		{"task", r.Task}, {"split", r.Split}, {"model", r.Model.Name}, {"architecture", r.Model.Architecture}, {"form", string(r.Model.Form)},
		{"pattern", strconv.Itoa(r.Model.Pattern)}, {"parameters", strconv.FormatInt(r.Model.Parameters, 10)}, {"seed", strconv.FormatUint(r.Seed, 10)},
		{"examples", strconv.Itoa(r.Examples)}, {"steps", strconv.FormatInt(r.Steps, 10)}, {"tokens", strconv.FormatInt(r.Tokens, 10)},
	}
	run.tags = []mlPair{
		{"glmkit.kind", "evaluation"}, {"glmkit.version", r.Glmkit}, {"glmkit.device", r.Device}, {"glmkit.libtorch", r.Libtorch}, {"glmkit.checkpoint_sha256", r.CheckpointSHA256},
		{"glmkit.data_sha256", r.DataSHA256}, {"glmkit.tokenizer", r.TokenizerHash}, {"glmkit.predictions_sha256", r.Predictions.SHA256},
	}
	return run
}

// mlRun is a training run's log, its steps those of the training. The log has no
// dates: the run ends when its log was written last.
func (r *TrainingRun) mlRun() mlRun {
	last := r.Points[len(r.Points)-1]
	began := r.Written.Add(-time.Duration(last.Seconds * float64(time.Second)))
	run := mlRun{name: cmp.Or(strings.TrimSpace(r.name()+" "+r.Task), r.Path), source: "log " + r.SHA256, start: began, end: r.Written}
	for _, p := range r.Points {
		at := began.Add(time.Duration(p.Seconds * float64(time.Second))).UnixMilli()
		add := func(key string, v float64) {
			if !math.IsNaN(v) && !math.IsInf(v, 0) {
				run.metrics = append(run.metrics, mlMetric{key, v, at, p.Step})
			}
		}
		add("loss", p.Loss)
		add("lr", p.LR)
		add("tokens", float64(p.Tokens))
		add("tokens_per_s", p.TokensPerS)
		if p.Valid != nil {
			add("valid_loss", *p.Valid)
		}
	}
	run.params = []mlPair{{"folder", r.Path}, {"seed", strconv.FormatUint(r.Seed, 10)}}
	if r.Task != "" {
		run.params = append(run.params, mlPair{"task", r.Task})
	}
	run.tags = []mlPair{{"glmkit.kind", "training"}}
	if len(r.Models) > 0 {
		run.tags = append(run.tags, mlPair{"glmkit.models", strings.Join(r.Models, ", ")})
	}
	return run
}

// experiment finds the experiment's id, or makes it.
func (m *MLflow) experiment(ctx context.Context) (string, error) {
	var found struct {
		Experiment struct {
			ID    string `json:"experiment_id"`
			Stage string `json:"lifecycle_stage"`
		} `json:"experiment"`
	}
	err := m.call(ctx, http.MethodGet, "experiments/get-by-name?"+url.Values{"experiment_name": {m.Experiment}}.Encode(), nil, &found)
	var refused *refusal
	switch {
	case errors.As(err, &refused) && refused.Code == "RESOURCE_DOES_NOT_EXIST":
	case err != nil:
		return "", err
	case found.Experiment.Stage == "deleted":
		return "", &configs.Error{Field: "--experiment", Msg: fmt.Sprintf("the server has deleted the experiment %q", m.Experiment), Hint: "another name, or restore it there"}
	default:
		return found.Experiment.ID, nil
	}
	var made struct {
		ID string `json:"experiment_id"`
	}
	err = m.call(ctx, http.MethodPost, "experiments/create", map[string]any{"name": m.Experiment}, &made)
	return made.ID, err
}

// find tells whether a finished run of the source is there: one that was cut
// short is made once more.
func (m *MLflow) find(ctx context.Context, experiment, source string) (bool, error) {
	var found struct {
		Runs []json.RawMessage `json:"runs"`
	}
	err := m.call(ctx, http.MethodPost, "runs/search", map[string]any{
		"experiment_ids": []string{experiment}, "max_results": 1,
		"filter": fmt.Sprintf("tags.`%s` = '%s' and attributes.status = 'FINISHED'", sourceTag, source),
	}, &found)
	return len(found.Runs) > 0, err
}

// create makes a run, fills it and says that it is finished.
func (m *MLflow) create(ctx context.Context, experiment string, run mlRun) error {
	var made struct {
		Run struct {
			Info struct {
				ID string `json:"run_id"`
			} `json:"info"`
		} `json:"run"`
	}
	tags := []mlPair{{"mlflow.runName", run.name}, {sourceTag, run.source}}
	for _, tag := range run.tags {
		if tag.Value != "" {
			tags = append(tags, tag)
		}
	}
	err := m.call(ctx, http.MethodPost, "runs/create", map[string]any{
		"experiment_id": experiment, "run_name": run.name, "start_time": run.start.UnixMilli(), "tags": tags,
	}, &made)
	if err != nil {
		return err
	}
	id := made.Run.Info.ID
	for i, param := range run.params {
		run.params[i].Value = shorten(param.Value, mostValue)
	}
	for params := range slices.Chunk(run.params, mostParams) {
		if err := m.call(ctx, http.MethodPost, "runs/log-batch", map[string]any{"run_id": id, "params": params}, nil); err != nil {
			return err
		}
	}
	for metrics := range slices.Chunk(run.metrics, mostMetrics) {
		if err := m.call(ctx, http.MethodPost, "runs/log-batch", map[string]any{"run_id": id, "metrics": metrics}, nil); err != nil {
			return err
		}
	}
	return m.call(ctx, http.MethodPost, "runs/update", map[string]any{"run_id": id, "status": "FINISHED", "end_time": run.end.UnixMilli()}, nil)
}

// refusal is an error that the server explains.
type refusal struct {
	Code    string `json:"error_code"`
	Message string `json:"message"`
	status  string
}

func (r *refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s: %s %s", r.status, r.Code, r.Message))
}

// call sends a request and reads the answer into out, if any.
func (m *MLflow) call(ctx context.Context, method, path string, body, out any) error {
	hint := "the address of an MLflow server, as in http://localhost:5000"
	address, err := url.Parse(strings.TrimSuffix(m.URL, "/"))
	if err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" {
		return &configs.Error{Field: "--url", Msg: fmt.Sprintf("%q is no address of a server", m.URL), Hint: hint}
	}
	var text io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("asking %s for %s: %w", address.Redacted(), path, err)
		}
		text = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, address.String()+"/api/2.0/mlflow/"+path, text)
	if err != nil {
		return fmt.Errorf("asking %s for %s: %w", address.Redacted(), path, err)
	}
	request.Header.Set("Content-Type", "application/json")
	if m.Token != "" {
		request.Header.Set("Authorization", "Bearer "+m.Token)
	}
	client := m.Client
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	response, err := client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err // without the address, which may hold a password
		}
		return fmt.Errorf("asking %s for %s: %w", address.Redacted(), path, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return fmt.Errorf("reading what %s answers to %s: %w", address.Redacted(), path, err)
	}
	if response.StatusCode != http.StatusOK {
		refused := &refusal{status: response.Status}
		if json.Unmarshal(answer, refused) != nil {
			refused.Message = shorten(strings.TrimSpace(string(answer)), 200)
		}
		return &mlflowError{address.Redacted(), path, refused}
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return &configs.Error{Field: "--url", Msg: fmt.Sprintf("%s does not answer as MLflow does: %v", address.Redacted(), err), Hint: hint}
	}
	return nil
}

// mlflowError says which request was refused.
type mlflowError struct {
	server, path string
	refused      *refusal
}

func (e *mlflowError) Error() string {
	path, _, _ := strings.Cut(e.path, "?")
	return fmt.Sprintf("MLflow at %s refuses %s: %v", e.server, path, e.refused)
}

func (e *mlflowError) Unwrap() error { return e.refused }
