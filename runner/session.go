package runner

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/glmkit/glmkit/configs"
)

// Options say where and on what a run works.
type Options struct {
	Out     string // the run's directory
	Device  string // auto, cpu, cuda or cuda:N
	Threads int    // of libtorch's CPU operations; 0: all cores
	Observe func(StepInfo)
}

// openSession makes the model and optimizer of a run, new by start or from the
// newest checkpoint of its directory. It runs on the tensor thread.
func openSession(c *configs.Config, identity State, o Options, vocab []byte, oc configs.Optimizer, start func(*model) error) (r *session, err error) {
	device, err := chooseDevice(o.Device)
	if err != nil {
		return nil, err
	}
	setThreads(o.Threads)
	yaml, err := c.YAML()
	if err != nil {
		return nil, err
	}
	checkpoint, resume, err := prepareRun(o.Out)
	if err != nil {
		return nil, err
	}
	r = &session{dir: o.Out, config: c.Train, state: identity, configYAML: yaml, vocab: vocab, observe: o.Observe}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	if resume {
		saved, _, err := readState(checkpoint)
		if err != nil {
			return nil, err
		}
		if err := sameRun(o.Out, saved, identity); err != nil {
			return nil, err
		}
		r.state = saved
		r.state.Model = identity.Model
	}
	if r.model, err = newModel(identity.Model, device); err != nil {
		return nil, err
	}
	if identity.Classifier > 0 && resume {
		err = r.model.addClassifier(identity.Classifier, identity.Seed)
	}
	if err == nil && !resume {
		err = start(r.model)
	}
	if err == nil {
		r.optimizer, err = newOptimizer(oc, r.model.params)
	}
	if err == nil && resume {
		if err = readTensors(filepath.Join(checkpoint, modelFile), named(r.model.params, "", r.model.params.tensors)); err == nil {
			err = loadOptimizer(checkpoint, r.model, r.optimizer)
		}
	}
	if err == nil {
		r.log, err = openMetrics(o.Out, r.state.Step)
	}
	if err == nil {
		err = writeSynced(filepath.Join(o.Out, configFile), yaml)
	}
	return r, err
}

// sameRun refuses to go on with a run under other conditions: the result would
// be neither the one nor the other.
func sameRun(dir string, saved, asked State) error {
	var differ string
	switch {
	case saved.Kind != asked.Kind || saved.Task != asked.Task:
		differ = fmt.Sprintf("it is a run of %s %s", saved.Kind, saved.Task)
	case saved.Model != asked.Model:
		differ = fmt.Sprintf("its model is %+v, asked for %+v", saved.Model, asked.Model)
	case saved.Seed != asked.Seed:
		differ = fmt.Sprintf("its seed is %d, asked for %d", saved.Seed, asked.Seed)
	case saved.Tokenizer != asked.Tokenizer:
		differ = "its vocabulary is another one"
	case saved.Data != asked.Data:
		differ = "its training data is another one"
	case saved.Pretrained != asked.Pretrained:
		differ = "it started from other weights"
	case saved.TotalSteps != asked.TotalSteps:
		differ = fmt.Sprintf("its schedule has %d steps, asked for %d", saved.TotalSteps, asked.TotalSteps)
	default:
		return nil
	}
	return &configs.Error{Field: dir, Msg: "holds a run that cannot be continued: " + differ, Hint: "another --out, or the configuration of that run (its config.yaml)"}
}

func (r *session) close() {
	if r.log != nil {
		r.log.close()
	}
	if r.optimizer != nil {
		r.optimizer.close()
	}
	if r.model != nil {
		r.model.close()
	}
}

// prepareRun makes a run's directory, or finds the checkpoint to go on from.
func prepareRun(dir string) (checkpoint string, resume bool, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", false, err
	}
	return latestCheckpoint(dir)
}
