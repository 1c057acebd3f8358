package tasks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/glmkit/glmkit/corpus"
)

// articles is which of SQuAD's articles a split has; nil: all. The lists are in
// the folder of the data.
func (d dataFile) articles(folder string) (func(title string) bool, error) {
	name := d.only + d.except
	if name == "" {
		return nil, nil
	}
	path := filepath.Join(folder, name)
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, openError(path, err)
	}
	listed := map[string]bool{}
	for _, title := range strings.Split(string(content), "\n") {
		listed[strings.TrimSpace(title)] = true
	}
	return func(title string) bool { return listed[title] == (d.only != "") }, nil
}

// squadQuestion is a question of SQuAD as a line.
type squadQuestion struct {
	ID       string          `json:"id"`
	Context  string          `json:"context"`
	Question string          `json:"question"`
	Answers  json.RawMessage `json:"answers"`
}

// squad makes a line of each question in a file of SQuAD's layout (Rajpurkar et
// al. 2016), an article in memory at a time. Faults name the question as a line.
func squad(path string, r io.Reader, wanted func(title string) bool) func() ([]byte, error) {
	articles := json.NewDecoder(r)
	var questions []squadQuestion
	line, inside := 0, false
	fail := func(err error) error {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return &corpus.DataError{Path: path, Err: fmt.Errorf("%w: behind question %d: %w", errUnreadable, line, err), Hint: `a file as SQuAD is laid out, {"data": [{"title", "paragraphs": [{"context", "qas": […]}]}]}`}
	}
	return func() ([]byte, error) {
		if !inside {
			if err := toArray(articles, "data"); err != nil {
				return nil, fail(err)
			}
			inside = true
		}
		for len(questions) == 0 {
			if !articles.More() {
				if _, err := articles.Token(); err != nil {
					return nil, fail(err)
				}
				return nil, io.EOF
			}
			var article struct {
				Title      string
				Paragraphs []struct {
					Context string
					QAs     []squadQuestion
				}
			}
			if err := articles.Decode(&article); err != nil {
				return nil, fail(err)
			}
			if wanted != nil && !wanted(article.Title) {
				continue
			}
			for _, paragraph := range article.Paragraphs {
				for _, question := range paragraph.QAs {
					question.Context = paragraph.Context
					questions = append(questions, question)
				}
			}
		}
		line++
		next := questions[0]
		questions = questions[1:]
		return json.Marshal(next)
	}
}

// toArray reads up to the elements of the array that a JSON object has under a
// key.
func toArray(d *json.Decoder, key string) error {
	if token, err := d.Token(); err != nil {
		return err
	} else if token != json.Delim('{') {
		return errors.New("want a JSON object")
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if name != key {
			var skipped json.RawMessage
			if err := d.Decode(&skipped); err != nil {
				return err
			}
			continue
		}
		token, err := d.Token()
		if err == nil && token != json.Delim('[') {
			err = fmt.Errorf("%q is not an array", key)
		}
		return err
	}
	return fmt.Errorf("there is no key %q", key)
}

// readSQuAD asks for the question that an answer in a text is the answer to
// (question generation): the text in three parts, so that what is cut when it
// is long is far from the answer. The reference is the question. Training has
// an example of each distinct answer, other splits of the first one.
func readSQuAD(line value, f file) []Example {
	e := Example{ID: f.set + "-" + line.field("id").word(), Label: -1}
	line.about(e.ID)
	e.Question, e.Passage = e.ID, e.ID
	context := straight(line.field("context").text())
	question := strings.TrimFunc(straight(line.field("question").text()), isSpace)
	if question == "" {
		line.field("question").fail("the text is empty")
	}
	e.Gold, e.Answers = []string{question}, []string{question}
	answers := line.field("answers")
	var examples []Example
	var seen []string
	for i, answer := range answers.list() {
		text := straight(answer.field("text").text())
		if slices.Contains(seen, text) {
			continue
		}
		seen = append(seen, text)
		start := answerStart(context, text, answer)
		if start < 0 {
			answer.fail("%s is not in the context", quote(text))
			return nil
		}
		one := e
		if i > 0 {
			one.ID += "-a" + strconv.Itoa(i)
		}
		before := strings.TrimRightFunc(context[:start], isSpace)
		one.Fields = map[string]string{
			"before": before,
			"span":   context[len(before) : start+len(text)],
			"after":  strings.TrimRightFunc(context[start+len(text):], isSpace),
			"answer": text,
		}
		one.Text = "context: " + context + "\nanswer: " + text
		examples = append(examples, one)
		if !f.training {
			break
		}
	}
	if len(examples) == 0 {
		answers.fail("there are no answers, to which a question could be asked")
	}
	return examples
}

// answerStart is the byte at which an answer stands in its context: where the
// file says, counted in code points, or its first occurrence; -1 where there is
// none.
func answerStart(context, text string, answer value) int {
	if text == "" {
		return -1
	}
	if at, ok := answer.optional("answer_start"); ok {
		start := at.count()
		for i := range context {
			if start == 0 && strings.HasPrefix(context[i:], text) {
				return i
			}
			start--
		}
	}
	return strings.Index(context, text)
}
