package corpus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/glmkit/glmkit/spans"
)

// batchBytes is about the size of a record batch, which is also the step in
// which windows are drawn.
const batchBytes = 256 << 10

// shardRows says how many windows go into a record batch and into a shard. It
// depends on the settings alone, so that a run can go on with any shard.
func shardRows(s Settings, vocabulary int) (batch, shard int64) {
	length := int64(s.Data.SeqLength)
	row := length*int64(idWidth(vocabulary)) + length/4 + 16 // the spans take about a quarter byte a token
	batch = max(1, batchBytes/row)
	shard = int64(s.Data.ShardMB) << 20 / row
	return batch, max(1, shard/batch) * batch
}

func shardName(i int64) string { return fmt.Sprintf("shard-%05d.arrow", i) }

// finishedShard is the note in the working folder that a shard is complete.
type finishedShard struct {
	Shard
	Statistics Statistics `json:"statistics"`
}

func shardNote(work string, i int64) string { return filepath.Join(work, shardName(i)+".json") }

// windowBatch is a stretch of windows on its way into a shard.
type windowBatch struct {
	first, rows int64
	columns     columns
	statistics  Statistics
}

// shardMaker draws the windows of a recipe and writes them into shards.
type shardMaker struct {
	recipe    *Recipe
	tokenizer Tokenizer
	store     *tokenStore
	windows   int64
	out, work string
}

// run writes every shard that is not finished yet, and returns them all in
// order with what was drawn.
func (m *shardMaker) run(ctx context.Context, jobs int, report func(done, total int64)) ([]Shard, Statistics, error) {
	var all Statistics
	var shards []Shard
	perBatch, perShard := shardRows(m.recipe.Config, m.recipe.Tokenizer.Vocabulary)
	next := int64(0) // first window that is not in a finished shard
	for next < m.windows {
		var note finishedShard
		err := readJSON(shardNote(m.work, int64(len(shards))), &note)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, all, err
		}
		shards = append(shards, note.Shard)
		all.merge(&note.Statistics)
		next += note.Rows
	}
	report(next, m.windows)

	schema, err := shardSchema(m.recipe)
	if err != nil {
		return nil, all, err
	}
	produce := func(b *windowBatch) (bool, error) {
		b.first = next
		b.rows = min(perBatch, m.windows-next)
		next += b.rows
		return b.rows > 0, nil
	}
	var shard *shardWriter
	var drawn Statistics // in that shard
	defer func() {
		if shard != nil {
			shard.abandon()
		}
	}()
	consume := func(b *windowBatch) error {
		if shard == nil {
			var err error
			if shard, err = createShard(filepath.Join(m.work, "shard.arrow"), schema); err != nil {
				return err
			}
			drawn = Statistics{}
		}
		if err := shard.add(&b.columns); err != nil {
			return err
		}
		drawn.merge(&b.statistics)
		end := b.first + b.rows
		report(end, m.windows)
		if shard.rows < perShard && end < m.windows {
			return nil
		}
		finished, err := m.keep(shard, int64(len(shards)), drawn)
		shard = nil
		if err != nil {
			return err
		}
		shards = append(shards, finished)
		all.merge(&drawn)
		return nil
	}
	if err := inOrder(ctx, jobs, produce, m.newDrawer(), consume); err != nil {
		return nil, all, err
	}
	return shards, all, nil
}

// keep finishes shard i and gives it its name. The note comes last: a shard
// without one is written again, to the same bytes.
func (m *shardMaker) keep(w *shardWriter, i int64, drawn Statistics) (Shard, error) {
	shard := Shard{Name: shardName(i), Rows: w.rows}
	if err := w.finish(); err != nil {
		return shard, err
	}
	shard.Bytes, shard.SHA256 = w.size, w.sum()
	if err := os.Rename(w.file.Name(), filepath.Join(m.out, shard.Name)); err != nil {
		return shard, err
	}
	if err := syncDir(m.out); err != nil {
		return shard, err
	}
	return shard, writeJSON(shardNote(m.work, i), m.work, finishedShard{shard, drawn})
}

// newDrawer returns the maker of workers, each of which draws batches.
func (m *shardMaker) newDrawer() func() func(*windowBatch) error {
	var (
		settings  = m.recipe.Config
		special   = m.tokenizer.Special()
		objective = settings.Objective.Spans()
	)
	return func() func(*windowBatch) error {
		drawer := windowDrawer{source: &storeCursor{tokenStore: m.store}, data: settings.Data, cls: special.CLS, ends: m.tokenizer.EndsWindow}
		var tokens []int32
		return func(b *windowBatch) error {
			b.columns.reset(m.recipe.Tokenizer.Vocabulary, settings.Data.SeqLength)
			b.statistics = Statistics{}
			for i := b.first; i < b.first+b.rows; i++ {
				key := spans.Key{Seed: settings.Data.Seed, Sample: uint64(i)}
				var err error
				if tokens, err = drawer.draw(tokens[:0], key); err != nil {
					return err
				}
				w := Window{Tokens: tokens, Sample: objective.Draw(key, tokens, special, m.tokenizer.EndsSentence)}
				b.columns.add(w)
				b.statistics.add(w)
			}
			return nil
		}
	}
}
