package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glmkit/glmkit/configs"
)

// trackingServer does what MLflow's REST API documents of the requests that are
// used, with its limits.
type trackingServer struct {
	t           *testing.T
	experiments map[string]string // ids by name
	runs        map[string]*trackedRun
	order       []string
	refuse      string // a path that fails
	header      http.Header
}

type trackedRun struct {
	ID, Name, Status string
	Start, End       int64
	Tags, Params     map[string]string
	Metrics          []mlMetric
}

func newTrackingServer(t *testing.T) (*trackingServer, string) {
	s := &trackingServer{t: t, experiments: map[string]string{}, runs: map[string]*trackedRun{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func (s *trackingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.header = r.Header
	fail := func(status int, code, format string, args ...any) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]string{"error_code": code, "message": fmt.Sprintf(format, args...)})
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/api/2.0/mlflow/")
	if !ok || path == s.refuse {
		fail(http.StatusInternalServerError, "INTERNAL_ERROR", "no luck with %s", path)
		return
	}
	var in struct {
		Name       string   `json:"name"`
		Experiment string   `json:"experiment_id"`
		IDs        []string `json:"experiment_ids"`
		Filter     string   `json:"filter"`
		RunName    string   `json:"run_name"`
		RunID      string   `json:"run_id"`
		Status     string   `json:"status"`
		Start      int64    `json:"start_time"`
		End        int64    `json:"end_time"`
		Tags       []mlPair `json:"tags"`
		Params     []mlPair `json:"params"`
		Metrics    []mlMetric
	}
	if r.Method == http.MethodPost {
		if r.Header.Get("Content-Type") != "application/json" {
			s.t.Errorf("%s: content type %q", path, r.Header.Get("Content-Type"))
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			s.t.Errorf("%s: %v", path, err)
		}
	}
	var out any = map[string]any{}
	switch r.Method + " " + path {
	case "GET experiments/get-by-name":
		id, ok := s.experiments[r.URL.Query().Get("experiment_name")]
		if !ok {
			fail(http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Could not find experiment")
			return
		}
		out = map[string]any{"experiment": map[string]string{"experiment_id": id, "lifecycle_stage": "active"}}
	case "POST experiments/create":
		s.experiments[in.Name] = fmt.Sprint(len(s.experiments) + 1)
		out = map[string]string{"experiment_id": s.experiments[in.Name]}
	case "POST runs/search":
		var source string
		if _, err := fmt.Sscanf(strings.ReplaceAll(in.Filter, "'", " "), "tags.`glmkit.source` =  result %s", &source); err != nil {
			if _, err := fmt.Sscanf(strings.ReplaceAll(in.Filter, "'", " "), "tags.`glmkit.source` =  log %s", &source); err != nil {
				s.t.Errorf("filter %q: %v", in.Filter, err)
			}
		}
		found := []any{}
		for _, run := range s.runs {
			if strings.Contains(run.Tags[sourceTag], source) && run.Status == "FINISHED" {
				found = append(found, map[string]any{"info": map[string]string{"run_id": run.ID}})
			}
		}
		out = map[string]any{"runs": found}
	case "POST runs/create":
		run := &trackedRun{ID: fmt.Sprintf("run-%d", len(s.runs)), Name: in.RunName, Start: in.Start, Status: "RUNNING", Tags: map[string]string{}, Params: map[string]string{}}
		for _, tag := range in.Tags {
			run.Tags[tag.Key] = tag.Value
		}
		s.runs[run.ID] = run
		s.order = append(s.order, run.ID)
		out = map[string]any{"run": map[string]any{"info": map[string]string{"run_id": run.ID}}}
	case "POST runs/log-batch":
		run := s.runs[in.RunID]
		if run == nil || len(in.Metrics) > 1000 || len(in.Params) > 100 || len(in.Metrics)+len(in.Params)+len(in.Tags) > 1000 || r.ContentLength > 1<<20 {
			fail(http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "run %s, %d metrics, %d params, %d bytes", in.RunID, len(in.Metrics), len(in.Params), r.ContentLength)
			return
		}
		run.Metrics = append(run.Metrics, in.Metrics...)
		for _, param := range in.Params {
			run.Params[param.Key] = param.Value
		}
	case "POST runs/update":
		s.runs[in.RunID].Status, s.runs[in.RunID].End = in.Status, in.End
	default:
		fail(http.StatusNotFound, "ENDPOINT_NOT_FOUND", "%s %s", r.Method, path)
		return
	}
	json.NewEncoder(w).Encode(out)
}

func TestMLflow(t *testing.T) {
	server, address := newTrackingServer(t)
	e := twoModels()
	e.tasks, e.seeds = []string{"CB"}, []uint64{1}
	results := e.write(t)
	folder := t.TempDir()
	var lines strings.Builder
	const steps = 700
	for i := 1; i <= steps; i++ {
		fmt.Fprintf(&lines, `{"step":%d,"loss":2.5,"lr":0.001,"tokens":%d,"tokens_per_s":10,"seconds":%d,"valid_loss":2}`+"\n", i, 10*i, i)
	}
	writeRun(t, filepath.Join(folder, "glm"), lines.String(), `{"task":"CB","seed":1}`, results[0].CheckpointSHA256)
	runs, err := ReadTrainingRuns([]string{folder})
	if err != nil {
		t.Fatal(err)
	}
	Attach(runs, results)
	tracker := &MLflow{URL: address + "/", Experiment: "glm & bert", Token: "secret"}

	// A server that fails on the way leaves a run that is not finished, and no harm.
	server.refuse = "runs/update"
	logged, err := tracker.Log(context.Background(), results, runs)
	if err == nil || !strings.Contains(err.Error(), "refuses runs/update: 500") || !strings.Contains(err.Error(), "no luck") || logged.Made != 0 {
		t.Fatalf("a server that fails: %+v, %v", logged, err)
	}
	server.refuse = ""
	for pass, want := range []Logged{{Made: 3}, {There: 3}} {
		if logged, err = tracker.Log(context.Background(), results, runs); err != nil || logged != want {
			t.Fatalf("pass %d: %+v, %v, want %+v", pass, logged, err, want)
		}
	}
	if got := server.header.Get("Authorization"); got != "Bearer secret" {
		t.Errorf("authorization %q", got)
	}
	if len(server.experiments) != 1 || server.experiments["glm & bert"] == "" || len(server.order) != 4 {
		t.Fatalf("experiments %v, runs %q", server.experiments, server.order)
	}
	first, training := server.runs[server.order[1]], server.runs[server.order[3]]
	r := results[0]
	if first.Name != fileName(r) || first.Params["task"] != "CB" || first.Params["seed"] != "1" || first.Tags["glmkit.data_sha256"] != r.DataSHA256 || first.Tags["mlflow.runName"] != first.Name {
		t.Errorf("a result's run: %+v", first)
	}
	if len(first.Metrics) != len(r.Metrics) || first.Metrics[0].Key != r.Metrics[0].Name || first.Metrics[0].Value != r.Metrics[0].Value || first.End != r.Date.UnixMilli() || first.End-first.Start != 1500 {
		t.Errorf("a result's metrics: %+v, %d to %d", first.Metrics, first.Start, first.End)
	}
	if len(training.Metrics) != 5*steps || training.Status != "FINISHED" || training.Tags["glmkit.kind"] != "training" || training.End-training.Start != steps*1000 {
		t.Errorf("a training run: %d metrics, %s, %v, %d ms", len(training.Metrics), training.Status, training.Tags, training.End-training.Start)
	}
	last := training.Metrics[len(training.Metrics)-1]
	if want := (mlMetric{"valid_loss", 2, training.End, steps}); last != want {
		t.Errorf("the last metric is %+v, want %+v", last, want)
	}
}

func TestMLflowRefuses(t *testing.T) {
	for address, want := range map[string]string{"": "no address", "localhost:5000": "no address", "ftp://x": "no address"} {
		_, err := (&MLflow{URL: address}).Log(context.Background(), nil, nil)
		var usage *configs.Error
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", address, err, want)
		}
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }))
	defer page.Close()
	if _, err := (&MLflow{URL: page.URL}).Log(context.Background(), nil, nil); err == nil || !strings.Contains(err.Error(), "does not answer as MLflow does") {
		t.Errorf("another server: %v", err)
	}
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer slow.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := (&MLflow{URL: strings.Replace(slow.URL, "//", "//user:hidden@", 1)}).Log(ctx, nil, nil); !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "hidden") {
		t.Errorf("interrupted: %v", err)
	}
	if _, err := (&MLflow{URL: "http://user:hidden@127.0.0.1:1"}).Log(context.Background(), nil, nil); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("no server: %v", err)
	}
}
