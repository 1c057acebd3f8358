package microworld

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glmkit/glmkit/configs"
)

// small is a world that is made in a moment.
func small() Params {
	return Params{Seed: 3, Documents: 60, Held: 5, People: 16, Difficulty: 1, Train: 40, Val: 20}
}

func newWorld(t testing.TB, p Params) *World {
	t.Helper()
	w, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func examplesOf(t testing.TB, w *World, task string) map[string][]example {
	t.Helper()
	splits, err := w.examples(task)
	if err != nil {
		t.Fatal(err)
	}
	return splits
}

// label names the label of an example, and the texts a reader sees.
func label(e example) (string, []string) {
	switch e := e.(type) {
	case *boolQ:
		return fmt.Sprint(*e.Label), []string{e.Passage, e.Question}
	case *inference:
		return *e.Label, []string{e.Premise, e.Hypothesis}
	case *copa:
		return fmt.Sprint(*e.Label), []string{e.Premise, e.Choice1, e.Choice2}
	case *wic:
		return fmt.Sprint(*e.Label), []string{e.Sentence1, e.Sentence2}
	case *wsc:
		return fmt.Sprint(*e.Label), []string{e.Text}
	}
	return "", nil
}

func TestLabelsAreBalanced(t *testing.T) {
	w := newWorld(t, Defaults())
	for _, task := range Tasks() {
		for _, split := range []string{"train", "val"} {
			t.Run(task+"/"+split, func(t *testing.T) {
				counts, n := map[string]int{}, 0
				for _, e := range examplesOf(t, w, task)[split] {
					switch e := e.(type) {
					case *multiRC:
						for _, q := range e.Passage.Questions {
							right := 0
							for _, a := range q.Answers {
								right += *a.Label
								counts[fmt.Sprint(*a.Label)]++
								n++
							}
							if right == 0 || right == len(q.Answers) {
								t.Errorf("%q has %d of %d answers right", q.Question, right, len(q.Answers))
							}
						}
					case *record:
						// The answer is not always the first, last or most named.
						first := e.Passage.Entities[0]
						counts[fmt.Sprint(e.Qas[0].Answers[0].Start == first.Start)]++
						n++
					case *wsc:
						// The candidate asked for says nothing of the label.
						name, _ := label(e)
						counts[fmt.Sprint(name, e.Target.Span1Index < 4)]++
						n++
					default:
						name, _ := label(e)
						counts[name]++
						n++
					}
				}
				for name, count := range counts {
					share, fair := float64(count)/float64(n), 1/float64(len(counts))
					if share > fair+0.2 || task != "ReCoRD" && task != "WSC" && share > fair+0.01 {
						t.Errorf("%s: %d of %d examples", name, count, n)
					}
				}
			})
		}
	}
}

// TestLengthTellsNothing fits the best threshold on a length to the training
// examples: it must not do much better than chance on the others.
func TestLengthTellsNothing(t *testing.T) {
	w := newWorld(t, Defaults())
	features := map[string]func(texts []string) int{
		"characters":              func(x []string) int { return len(strings.Join(x, "")) },
		"words":                   func(x []string) int { return len(strings.Fields(strings.Join(x, " "))) },
		"characters of the first": func(x []string) int { return len(x[0]) },
		"characters of the last":  func(x []string) int { return len(x[len(x)-1]) },
		"more in the second": func(x []string) int {
			if len(x) < 2 {
				return 0
			}
			return len(x[1]) - len(x[len(x)-1])
		},
	}
	for _, task := range []string{"BoolQ", "CB", "COPA", "RTE", "WiC", "WSC"} {
		splits := examplesOf(t, w, task)
		classes := 2.0
		if task == "CB" {
			classes = 3
		}
		for name, feature := range features {
			got := stumpAccuracy(splits["train"], splits["val"], feature)
			if most := 1/classes + 0.1; got > most {
				t.Errorf("%s: the %s alone answer %.0f %% of the examples, more than %.0f %%", task, name, 100*got, 100*most)
			}
		}
	}
}

// stumpAccuracy is the accuracy on val of the two-leaf tree that fits train best.
func stumpAccuracy(train, val []example, feature func([]string) int) float64 {
	const longest = 400
	below, above := map[string][]int{}, map[string]int{}
	for _, e := range train {
		name, texts := label(e)
		if below[name] == nil {
			below[name] = make([]int, 2*longest)
		}
		below[name][feature(texts)+longest]++
		above[name]++
	}
	best, threshold, left, right := -1, 0, "", ""
	under := map[string]int{}
	for at := range 2 * longest {
		for name := range below {
			under[name] += below[name][at]
		}
		for l := range below {
			for r := range below {
				if hits := under[l] + above[r] - under[r]; hits > best {
					best, threshold, left, right = hits, at-longest, l, r
				}
			}
		}
	}
	hits := 0
	for _, e := range val {
		name, texts := label(e)
		guess := right
		if feature(texts) <= threshold {
			guess = left
		}
		if guess == name {
			hits++
		}
	}
	return float64(hits) / float64(len(val))
}

// TestDocumentsHoldNoHeldOutText compares by other means than the generator
// does: whole texts with everything but letters taken out.
func TestDocumentsHoldNoHeldOutText(t *testing.T) {
	p := small()
	p.Documents, p.Held, p.Val = 1500, 100, 100
	for p.Difficulty = 1; p.Difficulty <= 3; p.Difficulty++ {
		w := newWorld(t, p)
		noise := regexp.MustCompile(`@highlight|[^a-z]+`)
		squeeze := func(s string) string {
			return strings.TrimSpace(noise.ReplaceAllString(strings.ToLower(s), " "))
		}
		tidy := func(s string) string { return " " + strings.Join(strings.Fields(squeeze(s)), " ") + " " }
		var documents strings.Builder
		for _, held := range []bool{false, true} {
			for text, err := range w.Documents(held) {
				if err != nil {
					t.Fatal(err)
				}
				documents.WriteString(tidy(text) + "|")
			}
		}
		all := documents.String()
		if !strings.Contains(all, " because ") || !strings.Contains(all, " question ") {
			t.Fatalf("the documents are not as this test reads them: %.200s", all)
		}
		for _, task := range Tasks() {
			splits := examplesOf(t, w, task)
			for _, split := range []string{"val", "test"} {
				for _, e := range splits[split] {
					for _, text := range e.texts() {
						if strings.Contains(all, tidy(text)) {
							t.Errorf("difficulty %d, %s, %s: a document holds %q", p.Difficulty, task, split, text)
						}
					}
				}
			}
		}
	}
}

func TestSplitsShareNoExample(t *testing.T) {
	w := newWorld(t, Defaults())
	for _, task := range Tasks() {
		seen := map[string]string{}
		for split, examples := range examplesOf(t, w, task) {
			for _, e := range examples {
				key := strings.Join(e.texts(), "|")
				if other, ok := seen[key]; ok {
					t.Errorf("%s: %s and %s both hold %q", task, split, other, key)
				}
				seen[key] = split
			}
		}
	}
}

// TestDocumentsHoldTheWordsOfThePatterns looks for what the cloze patterns are
// made of, as a model has to have met it.
func TestDocumentsHoldTheWordsOfThePatterns(t *testing.T) {
	p := Defaults()
	p.Documents = 1000
	var all strings.Builder
	vocabulary := map[string]bool{}
	for text, err := range newWorld(t, p).Documents(false) {
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(text + "\n")
		for _, word := range strings.Fields(words(text)) {
			vocabulary[word] = true
		}
	}
	for _, phrase := range []string{
		"Based on the following passage ", "Based on the previous passage, ", "Question: ", "? Answer: Yes.", "? Answer: No.",
		"\"? Yes, \"", "\"? No, \"", "\"? Maybe, \"", "? Yes. ", "? No. ", "? Maybe. ", "True, false or neither? Answer: true.", "Answer: neither.",
		"\" or \"", " because ", ", so ", "? Is it ", "Similar sense of \"", "have the same meaning in both sentences? Yes.",
		"The pronoun '*", "In the previous sentence, the pronoun '*", "In the passage above, what does the pronoun '*", "' refer to? Answer: ", "- ",
	} {
		if strings.Count(all.String(), phrase) < 5 {
			t.Errorf("%q occurs %d times in %d documents", phrase, strings.Count(all.String(), phrase), p.Documents)
		}
	}
	if len(vocabulary) > 700 {
		t.Errorf("the documents use %d words; 1000 WordPieces should hold nearly each as a whole", len(vocabulary))
	}
}

// goldenHash is the SHA-256 over the files of the small world, by name. It
// changes only with format.
const goldenHash = "554874906d3bfa70ffb1fcc6bc8fcb6ed92da838a053549e8e5eb87beb3098dc"

func TestSameParametersSameBytes(t *testing.T) {
	if got := hashOf(t, writeWorld(t, small())); got != goldenHash {
		t.Errorf("the small world's hash is %s, want %s: raise format if the change is meant", got, goldenHash)
	}
	p := small()
	p.Seed++
	if hashOf(t, writeWorld(t, p)) == goldenHash {
		t.Error("another seed gives the same bytes")
	}
}

func writeWorld(t *testing.T, p Params) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "world")
	if _, complete, err := newWorld(t, p).Write(context.Background(), dir, func(int64, int64) {}); err != nil || complete {
		t.Fatalf("Write: complete %v, %v", complete, err)
	}
	return dir
}

func hashOf(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d\n%s", filepath.ToSlash(rel), len(data), data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TestLongerKeepsTheStart: more documents go on where fewer stop.
func TestLongerKeepsTheStart(t *testing.T) {
	p := small()
	short := collect(t, newWorld(t, p))
	p.Documents *= 2
	long := collect(t, newWorld(t, p))
	if diff := cmp.Diff(short, long[:len(short)]); diff != "" {
		t.Errorf("the documents in common differ (-short +long):\n%s", diff)
	}
}

func collect(t *testing.T, w *World) (texts []string) {
	t.Helper()
	for text, err := range w.Documents(false) {
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, text)
	}
	return texts
}

// TestFilesAreOfficial checks what readers of the official files rely on.
func TestFilesAreOfficial(t *testing.T) {
	dir := writeWorld(t, small())
	fields := map[string]string{ // of labelled records, in the official order
		"BoolQ": "question passage idx label", "CB": "premise hypothesis label idx", "RTE": "premise hypothesis label idx",
		"COPA": "premise choice1 choice2 question label idx", "MultiRC": "idx version passage", "ReCoRD": "source passage qas idx",
		"WiC": "word sentence1 sentence2 idx label start1 start2 end1 end2 version", "WSC": "text target idx label",
	}
	for _, task := range Tasks() {
		for _, split := range Splits() {
			data, err := os.ReadFile(filepath.Join(dir, "tasks", task, split+".jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
				want := strings.Fields(fields[task])
				var got []string
				d := json.NewDecoder(strings.NewReader(line))
				depth, key := 0, true
				for {
					token, err := d.Token()
					if err != nil {
						break
					}
					switch token {
					case json.Delim('{'), json.Delim('['):
						depth++
						continue
					case json.Delim('}'), json.Delim(']'):
						depth--
						if depth == 1 {
							key = true
						}
						continue
					}
					if depth == 1 {
						if key {
							got = append(got, fmt.Sprint(token))
						}
						key = !key
					}
				}
				if split == "test" {
					want = strings.Fields(strings.ReplaceAll(fields[task], "label", ""))
					if strings.Contains(line, `"label"`) || strings.Contains(line, `"answers":[{"start"`) {
						t.Errorf("%s/test line %d shows its answer: %s", task, i+1, line)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("%s/%s line %d (-want +got):\n%s", task, split, i+1, diff)
				}
			}
		}
	}
}

func TestWriteOnce(t *testing.T) {
	dir := writeWorld(t, small())
	before := hashOf(t, dir)
	write := func(p Params, dir string) (bool, error) {
		_, complete, err := newWorld(t, p).Write(context.Background(), dir, func(int64, int64) {})
		return complete, err
	}
	if complete, err := write(small(), dir); err != nil || !complete {
		t.Errorf("the same again: complete %v, %v", complete, err)
	}
	other := small()
	other.Seed++
	var config *configs.Error
	if _, err := write(other, dir); !errors.As(err, &config) {
		t.Errorf("other parameters: %v, want a configs.Error", err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := write(small(), foreign); !errors.As(err, &config) {
		t.Errorf("a directory of something else: %v, want a configs.Error", err)
	}
	if hashOf(t, dir) != before {
		t.Error("a refused write changed the directory")
	}
}

// TestInterruptedWriteLeavesNothing stops after every file.
func TestInterruptedWriteLeavesNothing(t *testing.T) {
	for stop := int64(1); stop <= 10; stop++ {
		parent := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		_, _, err := newWorld(t, small()).Write(ctx, filepath.Join(parent, "world"), func(done, _ int64) {
			if done == stop {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped after %d files: %v", stop, err)
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
			t.Errorf("stopped after %d files, it leaves %v, %v", stop, left, err)
		}
	}
}

func TestValidate(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Params)
		want   string // field
	}{
		{"defaults", func(*Params) {}, ""},
		{"no documents", func(p *Params) { p.Documents = 0 }, "documents"},
		{"nothing held out", func(p *Params) { p.Held = 0 }, "held"},
		{"few people", func(p *Params) { p.People = MinPeople - 1 }, "people"},
		{"many people", func(p *Params) { p.People = MaxPeople + 1 }, "people"},
		{"difficulty", func(p *Params) { p.Difficulty = 4 }, "difficulty"},
		{"train", func(p *Params) { p.Train = MaxTrain + 1 }, "train-size"},
		{"val", func(p *Params) { p.Val = -1 }, "val-size"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := Defaults()
			test.change(&p)
			_, err := New(p)
			var config *configs.Error
			if test.want == "" && err != nil || test.want != "" && (!errors.As(err, &config) || config.Field != test.want) {
				t.Errorf("got %v, want an error of %q", err, test.want)
			}
		})
	}
}

// TestLargestTasks draws the most that Validate lets through.
func TestLargestTasks(t *testing.T) {
	p := Params{Seed: 1, Documents: 50, Held: 1, People: MinPeople, Difficulty: 1, Train: MaxTrain, Val: MaxVal}
	if texts := collect(t, newWorld(t, p)); len(texts) != p.Documents {
		t.Errorf("%d documents, want %d", len(texts), p.Documents)
	}
}

// TestExhaustedWorld draws where nothing new is left.
func TestExhaustedWorld(t *testing.T) {
	w := newWorld(t, small())
	var config *configs.Error
	generators["constant"] = func(*World, *draw, int) example { return &boolQ{Passage: "Anna is calm."} }
	defer delete(generators, "constant")
	if _, err := w.examples("constant"); !errors.As(err, &config) || config.Hint == "" {
		t.Errorf("the same example again: %v, want a configs.Error with a hint", err)
	}
	taken := newPhrases()
	for _, word := range []string{"a", "the", "is", "was", "in", "no", "yes"} {
		taken.add(word)
	}
	if text, err := w.document(purposeDocument, 0, taken); !errors.As(err, &config) || config.Hint == "" {
		t.Errorf("a document without common words: %q, %v, want a configs.Error with a hint", text, err)
	}
}

func TestChance(t *testing.T) {
	yes, no := true, false
	one, zero := 1, 0
	neutral, entailment := "neutral", "entailment"
	answers := []multiRCAnswer{{Label: &one}, {Label: &zero}, {Label: &zero}, {Label: &one}}
	tests := []struct {
		name     string
		examples []example
		want     map[string]float64
	}{
		{"accuracy", []example{&boolQ{Label: &yes}, &boolQ{Label: &yes}, &boolQ{Label: &no}}, map[string]float64{"accuracy": 66.67}},
		{"macro-F1", []example{&inference{Label: &neutral}, &inference{Label: &entailment}}, map[string]float64{"accuracy": 50, "f1": 50}},
		{"MultiRC", []example{&multiRC{Passage: multiRCPassage{Questions: []multiRCQuestion{{Answers: answers}}}}}, map[string]float64{"f1a": 66.67, "em": 0}},
		{"ReCoRD", []example{&record{Passage: recordPassage{Text: "AnnaBenAnna", Entities: []recordSpan{{Start: 0, End: 3}, {Start: 4, End: 6}, {Start: 7, End: 10}}}}},
			map[string]float64{"f1": 50, "em": 50}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, chance(test.examples)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzExamples draws any example of any world: the solver must agree.
func FuzzExamples(f *testing.F) {
	f.Add(uint64(1), uint(0), uint(1), uint(3))
	f.Add(uint64(9), uint(7), uint(2), uint(4))
	f.Fuzz(func(t *testing.T, seed uint64, task, difficulty, choice uint) {
		p := small()
		p.Seed, p.Difficulty = seed, int(difficulty%3)+1
		w := newWorld(t, p)
		name := Tasks()[task%uint(len(Tasks()))]
		e := generators[name](w, newDraw(seed, uint64(choice)), int(choice%12))
		if err := solve(e); err != nil {
			t.Errorf("%s: %v\n%+v", name, err, e)
		}
		draws := newDraw(seed, uint64(choice), 1)
		if text := w.write(draws); text == "" || strings.ContainsAny(text, "{}") {
			t.Errorf("a document reads %q", text)
		}
	})
}

// TestDocumentedExamples finds the examples of docs/microworld.md in the
// default world.
func TestDocumentedExamples(t *testing.T) {
	text, err := os.ReadFile("../../docs/microworld.md")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, Defaults())
	for _, task := range Tasks() {
		found := false
		for _, e := range examplesOf(t, w, task)["val"] {
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			found = found || strings.Contains(string(text), "\n"+string(line)+"\n")
		}
		if !found {
			t.Errorf("the page has no validation example of %s", task)
		}
	}
}
