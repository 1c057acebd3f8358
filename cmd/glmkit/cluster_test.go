package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/glmkit/glmkit/corpus"
)

// TestKubernetesManifest reads the Jobs of the manifest in the documents: their
// commands must be ones that this program knows, the first two the same but for
// the stage, and all numbers of tasks one number.
func TestKubernetesManifest(t *testing.T) {
	file, err := os.Open("../../docs/cluster/kubernetes.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	type job struct {
		Kind string
		Spec struct {
			Completions, Parallelism int
			Template                 struct {
				Spec struct {
					Containers []struct{ Args []string }
				}
			}
		}
	}
	var jobs []job
	for decoder := yaml.NewDecoder(file); ; {
		var j job
		if err := decoder.Decode(&j); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, j)
	}
	if len(jobs) != 3 {
		t.Fatalf("there are %d Jobs, want one for each stage", len(jobs))
	}
	var commands [][]string
	for _, j := range jobs {
		if j.Kind != "Job" || len(j.Spec.Template.Spec.Containers) != 1 {
			t.Fatalf("%+v", j)
		}
		args := j.Spec.Template.Spec.Containers[0].Args
		if err := parses(args); err != nil {
			t.Errorf("glmkit %s: %v", strings.Join(args, " "), err)
		}
		commands = append(commands, args)
	}

	for i, stage := range []string{"tokenise", "draw"} {
		at := slices.IndexFunc(commands[i], func(arg string) bool { return strings.HasPrefix(arg, "--task=") })
		value := strings.NewReplacer("--task=", "", "$(JOB_COMPLETION_INDEX)", "63").Replace(commands[i][max(at, 0)])
		if task, err := corpusTask(value, os.Getenv); err != nil || task != (corpus.Task{Index: 63, Count: jobs[i].Spec.Completions}) || jobs[i].Spec.Parallelism != task.Count {
			t.Errorf("Job %d: task %+v, %v, of %+v", i, task, err, jobs[i].Spec)
		}
		if !slices.Contains(commands[i], "--stage="+stage) {
			t.Errorf("Job %d does not do the stage %s: %q", i, stage, commands[i])
		}
	}
	if draw := strings.Join(commands[1], " "); strings.ReplaceAll(draw, "=draw", "=tokenise") != strings.Join(commands[0], " ") {
		t.Errorf("the stages differ in more than their names:\n%q\n%q", commands[0], commands[1])
	}
	if out := "--out=" + commands[2][len(commands[2])-1]; !slices.Contains(commands[0], out) {
		t.Errorf("the last Job merges another folder than %s", out)
	}
}

// TestTrainManifest reads the PyTorchJob of the documents: all of its processes must
// run one command, which this program knows.
func TestTrainManifest(t *testing.T) {
	text, err := os.ReadFile("../../docs/cluster/train.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var job struct {
		Spec struct {
			Replicas map[string]struct {
				Template struct {
					Spec struct {
						Containers []struct {
							Name string
							Args []string
						}
					}
				}
			} `yaml:"pytorchReplicaSpecs"`
		}
	}
	if err := yaml.Unmarshal(text, &job); err != nil {
		t.Fatal(err)
	}
	var command []string
	for _, kind := range []string{"Master", "Worker"} {
		containers := job.Spec.Replicas[kind].Template.Spec.Containers
		if len(containers) != 1 || containers[0].Name != "pytorch" {
			t.Fatalf("%s: %+v", kind, containers)
		}
		if err := parses(containers[0].Args); err != nil {
			t.Errorf("%s: glmkit %q: %v", kind, containers[0].Args, err)
		}
		if command != nil && !slices.Equal(command, containers[0].Args) {
			t.Errorf("the commands differ: %q and %q", command, containers[0].Args)
		}
		command = containers[0].Args
	}
}
