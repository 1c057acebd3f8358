package tasks

import (
	"embed"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/glmkit/glmkit/configs"
)

// declarations are the tasks of SuperGLUE as YAML, in the form that a user's
// own task file has (docs/tasks.md).
//
//go:embed declarations
var declarations embed.FS

// shown is the order in which the built-in tasks are listed. A task stands
// behind the one whose patterns it takes over.
var shown = []string{"BoolQ", "CB", "COPA", "MultiRC", "ReCoRD", "RTE", "WiC", "WSC", "AX-b", "AX-g"}

// variant are the built-in tasks that ask a task of SuperGLUE's in another way, of
// other files.
var variant = []string{"WSC-negative"}

// generative are the built-in tasks whose answers the model writes.
var generative = []string{"Gigaword", "CNN-DM", "CNN-DM-cased", "XSum", "SQuAD-QG", "Yahoo"}

// builtIns are all built-in tasks, registry those of SuperGLUE, generation those
// in generative. A declaration that cannot be read would be builtInErr, which Get
// returns; the tests make sure that there is none.
var (
	builtIns, builtInErr = builtIn()
	registry             = builtIns[:min(len(builtIns), len(shown))]
	generation           = builtIns[min(len(builtIns), len(shown)+len(variant)):]
)

func builtIn() (built []*Task, err error) {
	for _, name := range slices.Concat(shown, variant, generative) {
		text, err := declarations.ReadFile("declarations/" + name + ".yaml")
		if err != nil {
			return nil, err
		}
		task, err := declare("built-in "+name+".yaml", text, built)
		if err != nil {
			return nil, err
		}
		built = append(built, task)
	}
	return built, nil
}

// Open reads a task that a user declared in a YAML file (docs/tasks.md). A file
// that declares no sound task is a configs.Error with the line at fault.
func Open(path string) (*Task, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, openError(path, err)
	}
	task, err := declare(path, text, builtIns)
	if err != nil {
		return nil, err
	}
	task.declaration = text
	return task, nil
}

// taskName is what can be the name of a folder everywhere.
var taskName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// declare makes a task of a file; built are the tasks that it may refer to and
// whose names are taken.
func declare(path string, text []byte, built []*Task) (*Task, error) {
	file, root := parseTaskFile(path, text)
	t := &Task{path: path}
	keys := root.keys("task", "recipe", "trained_on", "files", "lines", "id", "group", "fields", "text",
		"label", "labels", "choices", "writes", "clean", "infill", "patterns", "pair", "metrics", "choose_by")
	t.declareName(root, keys, built)
	t.declareFiles(keys["files"])
	t.declareLines(root, keys, built)
	t.declareWriting(keys)
	t.declareLabels(root, keys)
	t.declarePatterns(root, keys, built)
	t.declareMetrics(root, keys)
	if file.wrong != nil {
		return nil, file.wrong
	}
	return t, nil
}

func (t *Task) declareName(root node, keys map[string]node, built []*Task) {
	name := keys["task"]
	t.Name = name.text()
	switch {
	case t.Name == "":
		root.fail("task: MyTask, the name of its folder", "the key task is missing")
	case !taskName.MatchString(t.Name):
		name.fail("letters, digits, and -_. inside", "%s cannot be the name of a folder everywhere", quote(t.Name))
	case slices.ContainsFunc(built, func(b *Task) bool { return strings.EqualFold(b.Name, t.Name) }):
		name.fail("a name of its own", "%s is a built-in task", t.Name)
	}
	t.recipe, t.trainedOn = keys["recipe"].text(), keys["trained_on"].text()
	if recipe := keys["recipe"]; recipe.there() && t.recipe != t.Name && !slices.ContainsFunc(built, func(b *Task) bool { return b.Name == t.recipe }) {
		known := namesOf(built)
		recipe.fail("one of "+strings.Join(known, ", ")+"; left out: the common recipe", "there is no recipe %s; did you mean %s?", quote(t.recipe), configs.Nearest(t.recipe, known))
	}
}

func namesOf(built []*Task) (names []string) {
	for _, b := range built {
		names = append(names, b.Name)
	}
	return names
}

func (t *Task) declareFiles(files node) {
	if !files.there() {
		return
	}
	t.files = map[string]dataFile{}
	for _, e := range files.entries() {
		if !slices.Contains(Splits, e.name) {
			e.key.fail("one of "+strings.Join(Splits, ", "), "there is no split %s; did you mean %s?", e.name, configs.Nearest(e.name, Splits))
			continue
		}
		d, name := dataFile{}, e.value
		if e.value.isMapping() {
			keys := e.value.keys("name", "columns", "only", "except")
			name = keys["name"]
			d.columns = keys["columns"].texts()
			d.only, d.except = keys["only"].text(), keys["except"].text()
		}
		d.name = name.text()
		switch {
		case !slices.Contains(fileForms, filepath.Ext(d.name)):
			name.fail("a file that ends in .jsonl, one JSON object a line, .tsv, one tab-separated row a line, .source, one text a line and its answers in .target, .txt, one text a line, or .json, as SQuAD is laid out", "%s is neither .jsonl nor .tsv, .source, .txt or .json", quote(d.name))
		case strings.ContainsAny(d.name, `/\`):
			name.fail("a file in the task's folder", "%s is not the name of a file", quote(d.name))
		case d.columns != nil && !strings.HasSuffix(d.name, ".tsv"):
			name.fail("columns name those of a .tsv file without a header", "%s has no columns to name", quote(d.name))
		case d.only+d.except != "" && !strings.HasSuffix(d.name, ".json"):
			name.fail("only and except choose articles of a .json file", "%s has no articles to choose from", quote(d.name))
		}
		t.files[e.name] = d
	}
	if len(t.files) == 0 {
		files.fail("files: {train: train.jsonl, val: val.jsonl}", "names no file")
	}
}

// declareLines says how a line becomes examples: by a reader in Go, or by the
// fields that the file names.
func (t *Task) declareLines(root node, keys map[string]node, built []*Task) {
	if lines := keys["lines"]; lines.there() {
		name := lines.text()
		reader, ok := readers[name]
		if !ok {
			known := sortedKeys(readers)
			lines.fail("one of "+strings.Join(known, ", ")+"; left out: as fields says", "no lines are read like %s; did you mean %s?", quote(name), configs.Nearest(name, known))
			return
		}
		for _, key := range []string{"id", "group", "fields", "text", "label", "choices", "writes", "clean", "infill"} {
			keys[key].excluded("lines: " + name + " says it")
		}
		t.reader = reader
		return
	}
	d := &declaredLines{id: keys["id"].text(), label: keys["label"].text()}
	t.declared = d
	if group := keys["group"]; group.isMapping() {
		keys := group.keys("by", "every")
		d.group = keys["by"].text()
		every := keys["every"]
		if n, err := strconv.Atoi(every.text()); err != nil || n < 1 {
			every.fail("every: 2", "want how many examples a group has, got %s", quote(every.text()))
		} else {
			d.every = n
		}
	} else {
		d.group = group.text()
	}
	for _, e := range keys["fields"].entries() {
		field := declaredField{name: e.name, from: e.name}
		if e.value.isMapping() {
			keys := e.value.keys("from", "unpunctuated", "verbatim")
			if keys["from"].there() {
				field.from = keys["from"].text()
			}
			field.unpunctuated, field.verbatim = keys["unpunctuated"].flag(), keys["verbatim"].flag()
		} else if e.value.there() {
			field.from = e.value.text()
		}
		if e.name == answerField {
			e.key.fail("another name", "{%s} is the candidate in a pair", answerField)
		}
		if strings.ContainsAny(e.name, "{}") {
			e.key.fail("another name", "a field's name has no braces")
		}
		d.fields = append(d.fields, field)
	}
	if len(d.fields) == 0 {
		at(root, keys["fields"]).fail("fields: {premise: premise}, the name in patterns and that in the file", "no fields are declared")
	}
	if choices := keys["choices"]; choices.isList() {
		d.choices = choices.texts()
		if len(d.choices) < 2 {
			choices.fail("choices: [choice1, choice2], or the name of one field that is a list", "%d choices are none", len(d.choices))
		}
	} else if choices.there() {
		d.choiceList = choices.text()
	}
	t.reader = lineReader{
		read:       d.read,
		candidates: d.choices != nil || d.choiceList != "",
		fields:     d.names(),
	}
	text := keys["text"].list()
	if !keys["text"].there() {
		for _, field := range d.fields {
			if !field.unpunctuated {
				d.text = append(d.text, field.name+": {"+field.name+"}")
			}
		}
	}
	for _, line := range text {
		d.text = append(d.text, line.text())
		line.placeholders(line.text(), t.reader.fields)
	}
	for _, name := range []string{"id", "label", "group"} {
		if n := keys[name]; n.there() && !n.isMapping() && n.text() == "" {
			n.fail("the name of a field of the file", "is empty")
		}
	}
	if d.label == "" && !keys["writes"].there() && !keys["infill"].there() {
		at(root, keys["label"]).fail("label: label, the field that holds it", "the key label is missing")
	}
}

// excluded fails where a key is written that another one makes idle.
func (n node) excluded(why string) {
	if n.there() {
		n.fail("leave it out", "has no use here: %s", why)
	}
}

// at is the node where it is there, else the root, so that a message has a line.
func at(root, n node) node {
	if n.there() {
		return n
	}
	return root
}

func (t *Task) declareLabels(root node, keys map[string]node) {
	labels := keys["labels"]
	if !labels.there() && (t.reader.candidates || t.reader.writes) {
		return // labels count the choices, or there are none
	}
	if !labels.there() {
		root.fail("labels: [negative, positive], as the file writes them", "the key labels is missing")
		return
	}
	t.numeric = true
	for _, label := range labels.list() {
		text := label.text()
		if slices.ContainsFunc(t.Labels, func(l string) bool { return strings.EqualFold(l, text) }) {
			label.fail("labels differ in more than case", "%s is there twice", quote(text))
		}
		t.numeric = t.numeric && label.isInteger()
		t.Labels = append(t.Labels, text)
	}
	if len(t.Labels) < 2 {
		labels.fail("two labels or more; glmkit has no regression, so a task like GLUE's STS-B cannot be declared", "%d labels cannot be told apart", len(t.Labels))
	}
}

func (t *Task) declarePatterns(root node, keys map[string]node, built []*Task) {
	patterns, pairs := keys["patterns"], keys["pair"]
	if t.ratios != nil {
		patterns.excluded("infill blanks words of the text")
		pairs.excluded("infill blanks words of the text")
		return
	}
	if patterns.there() && !patterns.isList() {
		i := slices.IndexFunc(built, func(b *Task) bool { return b.Name == patterns.text() })
		if i < 0 {
			patterns.fail("a list of patterns, or the name of a built-in task", "there is no task %s; did you mean %s?", quote(patterns.text()), configs.Nearest(patterns.text(), namesOf(built)))
			return
		}
		pairs.excluded("the pair is that of " + built[i].Name)
		t.patterns, t.pair, t.patternOf = built[i].patterns, built[i].pair, built[i].Name
		for _, p := range t.patterns {
			for _, s := range slices.Concat(p.a, p.b, t.pair.a, t.pair.b) {
				patterns.placeholders(s, slices.Concat(t.reader.fields, []string{answerField}))
			}
			t.checkWords(patterns, p)
		}
		return
	}
	for _, n := range patterns.list() {
		keys := n.keys("parts", "then", "words")
		p := pattern{a: keys["parts"].template(t.reader.fields), b: keys["then"].template(t.reader.fields)}
		blanks := 0
		for _, s := range slices.Concat(p.a, p.b) {
			if s == blankSign {
				blanks++
			}
		}
		if len(p.a) == 0 {
			at(n, keys["parts"]).fail(`parts: ["✂{text}", " It was", "▢", "."]`, "the pattern has no parts")
		} else if blanks != 1 {
			keys["parts"].fail(`exactly one part "▢"`, "the pattern has %d blanks", blanks)
		}
		words := keys["words"]
		p.path, p.line = t.path, at(n, words).line()
		if words.there() {
			p.words = words.texts()
			if p.words == nil {
				p.words = []string{}
			}
		}
		t.checkWords(at(n, words), p)
		t.patterns = append(t.patterns, p)
	}
	if len(t.patterns) == 0 {
		at(root, patterns).fail("one pattern or more", "no patterns are declared")
	}
	if pairs.there() {
		keys := pairs.keys("first", "second")
		fields := slices.Clone(t.reader.fields)
		if t.reader.candidates {
			fields = append(fields, answerField)
		}
		t.pair.a, t.pair.b = keys["first"].template(fields), keys["second"].template(fields)
		for _, s := range slices.Concat(t.pair.a, t.pair.b) {
			if s == blankSign {
				pairs.fail("leave it out", "a pair has no blank")
			}
		}
		if len(t.pair.a) == 0 {
			pairs.fail(`pair: {first: ["✂{premise}"], second: ["✂{hypothesis}"]}`, "the pair has no first text")
		}
	}
}

// checkWords compares a pattern's verbalizers with the task's labels.
func (t *Task) checkWords(n node, p pattern) {
	switch filled := t.reader.candidates || t.reader.generative || t.reader.ranked || t.reader.writes; {
	case filled && p.words != nil:
		n.fail("leave words out", "the blank is filled with the example's own answers")
	case !filled && len(p.words) != len(t.Labels):
		n.fail("words in the order of labels: "+strings.Join(t.Labels, ", "), "%d words for %d labels", len(p.words), len(t.Labels))
	}
	for i, word := range p.words {
		if strings.TrimSpace(word) == "" {
			n.fail("a word that fills the blank", "word %d is empty", i)
		}
		if slices.Contains(p.words[:i], word) {
			n.fail("a word for each label", "%s stands for two labels", quote(word))
		}
	}
}

// template reads the parts of a pattern or of one text of a pair.
func (n node) template(fields []string) template {
	var t template
	for _, part := range n.list() {
		s := part.text()
		switch {
		case uncut(s) == "":
			part.fail("leave it out", "is an empty part")
		case s != blankSign && strings.Contains(s, blankSign):
			part.fail(`"▢" by itself, what stands beside it as parts of their own`, "the blank is a part of its own")
		case strings.Contains(uncut(s), scissors):
			part.fail("✂ at the start of a part that may be shortened", "%s has ✂ inside", quote(s))
		}
		part.placeholders(s, fields)
		t = append(t, s)
	}
	return t
}

// placeholders checks the {fields} of a text.
func (n node) placeholders(s string, known []string) {
	for {
		_, rest, found := strings.Cut(s, "{")
		if !found {
			return
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			n.fail("{field}", "%s opens a field and does not close it", quote("{"+rest))
			return
		}
		if !slices.Contains(known, name) {
			n.fail("one of {"+strings.Join(known, "}, {")+"}", "there is no field {%s}; did you mean {%s}?", name, configs.Nearest(name, known))
			return
		}
		s = after
	}
}

func (t *Task) declareMetrics(root node, keys map[string]node) {
	list := keys["metrics"]
	for _, n := range list.list() {
		name := n.text()
		m, ok := figures[name]
		if !ok {
			known := sortedKeys(figures)
			n.fail("one of "+strings.Join(known, ", "), "there is no metric %s; did you mean %s?", quote(name), configs.Nearest(name, known))
			return
		}
		switch grouped := keys["group"].there() || t.reader.name == "MultiRC"; {
		case (name == "exact_match" || name == "parity") && !grouped:
			n.fail("group: the field that the examples of one question share", "%s is counted by question, and no group is declared", name)
		case (name == "binary_f1" || name == "f1a") && len(t.Labels) != 2:
			n.fail("macro_f1", "%s is of two labels, not of %d", name, len(t.Labels))
		case strings.HasPrefix(name, "answer_") && t.reader.name != "ReCoRD":
			n.fail("accuracy", "%s compares with several right answers, which only lines: ReCoRD has", name)
		case m.written && !t.reader.writes:
			n.fail("accuracy", "%s is of text that the model writes, and the task says not which: writes", name)
		case !m.written && t.reader.writes:
			n.fail("rouge1, rouge2, rougeLsum, bleu", "%s is of labels, and the model writes text", name)
		}
		t.metrics = append(t.metrics, m)
	}
	if len(t.metrics) == 0 {
		at(root, list).fail("metrics: [accuracy]", "no metrics are declared")
	}
	t.declareChoosing(keys["choose_by"], list)
}

// declareChoosing names the metric by which models are chosen; left out, the
// first.
func (t *Task) declareChoosing(by, list node) {
	declared := list.texts()
	if !by.there() {
		if len(t.metrics) > 0 {
			t.choosing = t.metrics[0].name
		}
		return
	}
	i := slices.Index(declared, by.text())
	if i < 0 {
		by.fail("one of "+strings.Join(declared, ", "), "%s is not among the metrics", quote(by.text()))
		return
	}
	t.choosing = t.metrics[i].name
}
