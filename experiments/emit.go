package experiments

import (
	"crypto/sha256"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"
)

// Slurm writes a script that submits every step that is not done as a job of its
// own, after those that it needs. experiment is what glmkit run is given.
func (p *Plan) Slurm(w io.Writer, experiment string) error {
	missing, err := p.missing()
	if err != nil {
		return err
	}
	var out strings.Builder
	out.WriteString(`#!/bin/bash
# Submits the steps of an experiment to Slurm, each after those that it needs.
# SBATCH_FLAGS holds what sbatch needs here, such as --partition and --time;
# GPU_FLAGS what the steps that train and evaluate need besides, such as --gpus=1.
# What has been done by then is not done again; submit again after a failure.
set -euo pipefail

submit() { # name, flags, ids of the jobs before it between colons, step
	# shellcheck disable=SC2086
	sbatch --parsable --job-name="$1" --kill-on-invalid-dep=yes ${SBATCH_FLAGS:-} $2 ${3:+--dependency=afterok:$3} --wrap="` + "$COMMAND '$4'" + `"
}

`)
	fmt.Fprintf(&out, "COMMAND=%s\n", quote("glmkit run "+quote(experiment)+" --step"))
	variables := map[string]string{}
	for i, s := range missing {
		variables[s.ID] = fmt.Sprintf("j%d", i)
		var needs []string
		for _, id := range s.Needs {
			if variables[id] != "" {
				needs = append(needs, "${"+variables[id]+"%%;*}") // Slurm adds the cluster's name
			}
		}
		flags := ""
		if s.computes() {
			flags = "${GPU_FLAGS:-}"
		}
		fmt.Fprintf(&out, "j%d=$(submit %s \"%s\" \"%s\" %s)\n", i, quote(jobName(s.ID)), flags, strings.Join(needs, ":"), quote(s.ID))
	}
	fmt.Fprintf(&out, "echo %s\n", quote(fmt.Sprintf("jobs submitted: %d", len(missing))))
	_, err = io.WriteString(w, out.String())
	return err
}

// Kubernetes writes a Job for every step that is not done. Kubernetes knows no
// order of Jobs: each waits in its pod for what it needs. experiment is what
// glmkit run is given.
func (p *Plan) Kubernetes(w io.Writer, experiment string) error {
	missing, err := p.missing()
	if err != nil {
		return err
	}
	out := "# A Job a step; each waits for those that it needs. Put in your image, and the\n# claim of a volume that all nodes can write to.\n"
	for _, s := range missing {
		container := yaml.MapSlice{
			{Key: "name", Value: "glmkit"}, {Key: "image", Value: "glmkit:latest"}, {Key: "workingDir", Value: "/work"},
			{Key: "command", Value: []string{"glmkit", "run", experiment, "--step", s.ID, "--wait"}},
			{Key: "volumeMounts", Value: []yaml.MapSlice{{{Key: "name", Value: "work"}, {Key: "mountPath", Value: "/work"}}}},
		}
		if s.computes() {
			container = append(container, yaml.MapItem{Key: "resources", Value: yaml.MapSlice{{Key: "limits", Value: yaml.MapSlice{{Key: "nvidia.com/gpu", Value: 1}}}}})
		}
		job := yaml.MapSlice{
			{Key: "apiVersion", Value: "batch/v1"}, {Key: "kind", Value: "Job"},
			{Key: "metadata", Value: yaml.MapSlice{{Key: "name", Value: jobName(s.ID)}}},
			{Key: "spec", Value: yaml.MapSlice{{Key: "backoffLimit", Value: 3}, {Key: "template", Value: yaml.MapSlice{{Key: "spec", Value: yaml.MapSlice{
				{Key: "restartPolicy", Value: "OnFailure"},
				{Key: "containers", Value: []yaml.MapSlice{container}},
				{Key: "volumes", Value: []yaml.MapSlice{{{Key: "name", Value: "work"}, {Key: "persistentVolumeClaim", Value: yaml.MapSlice{{Key: "claimName", Value: "glmkit"}}}}}},
			}}}}}},
		}
		text, err := yaml.Marshal(job)
		if err != nil {
			return fmt.Errorf("writing the job of %s: %w", s.ID, err)
		}
		out += "---\n" + string(text)
	}
	_, err = io.WriteString(w, out)
	return err
}

// missing are the steps that are not done.
func (p *Plan) missing() ([]*Step, error) {
	var missing []*Step
	for _, s := range p.Steps {
		state, _, err := p.State(s)
		if err != nil {
			return nil, err
		}
		if state != Done {
			missing = append(missing, s)
		}
	}
	return missing, nil
}

// computes tells whether a step is one of a model, for which a device is of use.
func (s *Step) computes() bool { return s.Args[0] == "train" || s.Args[0] == "eval" }

// jobName is an id as a name of a job: letters, digits and hyphens, at most 50,
// with a part of its hash because other ids may give the same letters.
func jobName(id string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(id))
	hash := sha256.Sum256([]byte(id))
	return fmt.Sprintf("%s-%x", strings.Trim(name[:min(len(name), 43)], "-"), hash[:3])
}

// quote writes a word of the shell, as it is where the shell reads no more into it.
func quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)
