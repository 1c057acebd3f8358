package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// measure makes one or more rows of the table; where it fails, it returns them
// beside the error.
type measure struct {
	name    string
	measure func(context.Context, *bench) ([]*row, error)
}

var measures = []measure{
	{"wordpiece", measureWordPiece},
	{"bpe", measureBPE},
	{"prepare", measurePrepare},
	{"large", measureLarge},
	{"read", measureRead},
	{"spans", measureSpans},
	{"train", measureTrain},
	{"score", measureScore},
	{"write", measureWrite},
	{"start", measureStart},
}

// corpora are the texts, below the folder corpus of the data.
var corpora = []struct{ file, kind string }{
	{"wiki_train.jsonl", "encyclopedia"},
	{"novels_train.jsonl", "novels"},
}

// rowNames lists the rows by the names that the command takes.
func rowNames() string {
	var names []string
	for _, m := range measures {
		names = append(names, m.name)
	}
	return strings.Join(names, ", ")
}

// have returns the path of a file or folder of the data.
func (b *bench) have(name ...string) (string, error) {
	path := filepath.Join(append([]string{b.data}, name...)...)
	if _, err := os.Stat(path); err != nil {
		return "", missing(fmt.Sprintf("%v (GLMKIT_DATA names the folder)", err))
	}
	return path, nil
}

// vocabulary returns the folder of a vocabulary.
func (b *bench) vocabulary(name string) (string, error) { return b.have("vocab", name) }

// texts returns the corpus files.
func (b *bench) texts() ([]string, error) {
	var texts []string
	for _, text := range corpora {
		path, err := b.have("corpus", text.file)
		if err != nil {
			return nil, err
		}
		texts = append(texts, path)
	}
	if b.size.Documents > 0 {
		for i, path := range texts {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			lines := bytes.SplitAfterN(text, []byte("\n"), b.size.Documents+1)
			texts[i] = filepath.Join(b.work, filepath.Base(path))
			if err := os.WriteFile(texts[i], bytes.Join(lines[:min(b.size.Documents, len(lines))], nil), 0o666); err != nil {
				return nil, err
			}
		}
	}
	return texts, nil
}

// generate writes made-up text, once.
func (b *bench) generate(ctx context.Context, name string, bytes int64, flags ...string) (string, error) {
	path := filepath.Join(b.work, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	cmd := exec.CommandContext(ctx, filepath.Join(b.work, "text"), append(flags, "--bytes", strconv.FormatInt(bytes, 10))...)
	cmd.Stdout, cmd.Stderr = file, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("generating text: %w", err)
	}
	return path, file.Close()
}

func (b *bench) haveTokenizers() error {
	if _, err := exec.LookPath("node"); err != nil {
		return missing("no node (apt-get install nodejs npm)")
	}
	if _, err := os.Stat("bench/tokenizers/node_modules/tokenizers"); err != nil {
		return missing("no npm package tokenizers (apt-get install npm, then npm ci in bench/tokenizers)")
	}
	return nil
}

// havePython tells whether Python has a module.
func (b *bench) havePython(module string) error {
	if exec.Command(b.python, "-c", "import "+module).Run() != nil {
		return missing(fmt.Sprintf("%s has no %s (apt-get install python3-%s)", b.python, module, module))
	}
	return nil
}

// decode reads a program's line of JSON.
func decode(done finished, err error, into any) error {
	if err != nil {
		return err
	}
	return json.Unmarshal(done.out, into)
}
