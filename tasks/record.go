package tasks

import (
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

const (
	placeholder = "@placeholder"
	// A training example has one right answer and at most this many wrong ones.
	maxWrong = 9
	// entitySeed keys the draw of the wrong answers, together with the
	// example's ID (GLM repository, RecordProcessor).
	entitySeed = 42
)

// readReCoRD cuts the entities out of a passage, which are the choices of each
// of its queries.
func readReCoRD(line value, f file) []Example {
	passageID := f.set + "-p" + line.field("idx").word()
	line.about(passageID)
	body := line.field("passage")
	// Offsets count code points; straight keeps them, replacing one by one.
	original := []rune(body.field("text").text())
	text := []rune(straight(string(original)))
	var entities []string
	written := map[string]string{} // by entity: as the file has it, which a submission needs
	for _, entity := range body.field("entities").list() {
		// end is the last character's.
		start, end := entity.field("start").count(), entity.field("end").count()
		if start > end || end >= len(text) {
			entity.fail("characters %d to %d are not in the passage of %d", start, end, len(text))
			return nil
		}
		name := string(text[start : end+1])
		entities = append(entities, name)
		if _, ok := written[name]; !ok {
			written[name] = string(original[start : end+1])
		}
	}
	slices.Sort(entities)
	entities = slices.Compact(entities)
	// As the authors do, after GPT-3.
	passage := strings.ReplaceAll(string(text), "@highlight\n", "- ")

	var examples []Example
	for _, q := range line.field("qas").list() {
		id := passageID + "-q" + q.field("idx").word()
		q.about(id)
		query := straight(q.field("query").text())
		left, right, ok := strings.Cut(query, placeholder)
		if !ok || strings.Contains(right, placeholder) {
			q.field("query").fail("want exactly one %s in %s", placeholder, quote(query))
			return nil
		}
		e := Example{
			ID:       id,
			Question: id,
			Passage:  passageID,
			Gold:     answersOf(q, f),
			Fields: map[string]string{
				"passage":    passage,
				"left":       strings.TrimRightFunc(left, isSpace),
				"whole left": left,
				"right":      right,
			},
			Text: "passage: " + passage + "\nquery: " + query,
		}
		if !f.training {
			if len(entities) == 0 {
				body.fail("the passage has no entities to choose from")
			}
			e.Answers = entities
			for _, name := range entities {
				e.Choices = append(e.Choices, written[name])
			}
			e.Label = slices.IndexFunc(entities, func(entity string) bool { return slices.Contains(e.Gold, entity) })
			examples = append(examples, e)
			continue
		}
		examples = append(examples, trainingForms(e, entities)...)
	}
	return examples
}

// answersOf is the distinct right answers of a query in the file's order.
func answersOf(query value, f file) []string {
	answers, ok := query.optional("answers")
	if !ok && f.training {
		query.field("answers")
	}
	if !ok {
		return nil
	}
	var texts []string
	for _, answer := range answers.list() {
		if text := straight(answer.field("text").text()); !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// trainingForms makes one example of each right answer, which is choice 0 in
// front of some of the entities that are not right.
func trainingForms(e Example, entities []string) []Example {
	wrong := slices.DeleteFunc(slices.Clone(entities), func(entity string) bool { return slices.Contains(e.Gold, entity) })
	examples := make([]Example, len(e.Gold))
	for i, answer := range e.Gold {
		one := e
		one.ID += "-a" + strconv.Itoa(i)
		one.Label = 0
		drawn := wrong
		if len(wrong) > maxWrong {
			drawn = slices.Clone(wrong)
			key := fnv.New64a()
			io.WriteString(key, one.ID)
			r := rand.New(rand.NewPCG(entitySeed, key.Sum64()))
			r.Shuffle(len(drawn), func(i, j int) { drawn[i], drawn[j] = drawn[j], drawn[i] })
			drawn = drawn[:maxWrong]
		}
		one.Choices = append([]string{answer}, drawn...)
		one.Answers = one.Choices
		one.Gold = []string{answer}
		examples[i] = one
	}
	return examples
}
