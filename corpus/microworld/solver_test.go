package microworld

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The solver answers the tasks from their text alone, as a careful reader who
// knows the world's tables would. It shares nothing with the generator but
// those tables.

// claim is what a clause says of a person.
type claim struct {
	who, relation, value string
	denied               bool
}

var clausePatterns = []struct {
	relation string
	denied   bool
	pattern  *regexp.Regexp // groups who and value
}{
	{"place", true, regexp.MustCompile(`^(?P<who>\S+) (?:is not in|left|never went to|walked out of) the (?P<value>\w+)$`)},
	{"thing", true, regexp.MustCompile(`^(?P<who>\S+) (?:does not have|sold|lost) a (?P<value>\w+)$`)},
	{"thing", true, regexp.MustCompile(`^a (?P<value>\w+) was sold by (?P<who>\S+)$`)},
	{"outfit", true, regexp.MustCompile(`^(?P<who>\S+) (?:does not wear|took off) a (?P<value>\w+ \w+)$`)},
	{"mood", true, regexp.MustCompile(`^(?P<who>\S+) (?:is not|never felt|did not look) (?P<value>\w+)$`)},
	{"place", false, regexp.MustCompile(`^(?P<who>\S+) (?:is in|went to|walked to|stayed in) the (?P<value>\w+)$`)},
	{"thing", false, regexp.MustCompile(`^(?P<who>\S+) (?:has|bought|found) an? (?P<value>\w+)$`)},
	{"thing", false, regexp.MustCompile(`^a (?P<value>\w+) was bought by (?P<who>\S+)$`)},
	{"outfit", false, regexp.MustCompile(`^(?P<who>\S+) (?:wears|put on) a (?P<value>\w+ \w+)$`)},
	{"mood", false, regexp.MustCompile(`^(?P<who>\S+) (?:is|felt|looked) (?P<value>\w+)$`)},
}

// senseOfMood gives words for one mood one name.
var senseOfMood = map[string]string{"glad": "happy", "unhappy": "sad", "fresh": "awake", "sleepy": "tired", "wealthy": "rich",
	"penniless": "poor", "peaceful": "calm", "furious": "angry", "well": "healthy", "sick": "ill", "fearless": "brave", "scared": "afraid"}

// contraries are moods that exclude each other.
var contraries = map[string]string{"happy": "sad", "sad": "happy", "awake": "tired", "tired": "awake", "rich": "poor", "poor": "rich",
	"calm": "angry", "angry": "calm", "healthy": "ill", "ill": "healthy", "brave": "afraid", "afraid": "brave"}

// meant names a mood by the one word that stands for it.
func meant(c claim) claim {
	if m, ok := senseOfMood[c.value]; ok {
		c.value = m
	}
	return c
}

// excludes tells whether both claims cannot be true.
func (c claim) excludes(h claim) bool {
	if c.who != h.who || c.relation != h.relation {
		return false
	}
	if c.denied != h.denied {
		return c.value == h.value
	}
	if c.relation == "mood" {
		return contraries[c.value] == h.value
	}
	return !c.denied && c.value != h.value
}

// untimed lower-cases a clause and removes a time from its start or end.
func untimed(clause string) string {
	clause = strings.ToLower(strings.TrimRight(clause, "."))
	for _, t := range times {
		if s, ok := strings.CutPrefix(clause, t+" "); ok {
			return s
		}
		if s, ok := strings.CutSuffix(clause, " "+t); ok {
			return s
		}
	}
	return clause
}

// readClause understands a clause of an episode.
func readClause(clause string) (claim, error) {
	clause = untimed(clause)
	for _, p := range clausePatterns {
		if m := p.pattern.FindStringSubmatch(clause); m != nil {
			return meant(claim{m[p.pattern.SubexpIndex("who")], p.relation, m[p.pattern.SubexpIndex("value")], p.denied}), nil
		}
	}
	return claim{}, fmt.Errorf("no clause: %q", clause)
}

// clauses are the sentences of a passage, highlights included.
func clauses(text string) (list []string) {
	for _, s := range strings.FieldsFunc(strings.ReplaceAll(text, "@highlight", "."), func(r rune) bool { return r == '.' || r == '\n' }) {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// readPassage understands what a passage claims of people.
func readPassage(text string) ([]claim, error) {
	var claims []claim
	for _, s := range clauses(text) {
		c, err := readClause(s)
		if err != nil {
			return nil, err
		}
		claims = append(claims, c)
	}
	return claims, nil
}

var questionPatterns = []struct {
	relation string
	pattern  *regexp.Regexp
}{
	{"place", regexp.MustCompile(`^is (?P<who>\w+) in the (?P<value>\w+)$`)},
	{"thing", regexp.MustCompile(`^does (?P<who>\w+) have a (?P<value>\w+)$`)},
	{"outfit", regexp.MustCompile(`^does (?P<who>\w+) wear a (?P<value>\w+ \w+)$`)},
	{"mood", regexp.MustCompile(`^is (?P<who>\w+) (?P<value>\w+)$`)},
	{"place", regexp.MustCompile(`^where is (?P<who>\w+)$`)},
	{"thing", regexp.MustCompile(`^what does (?P<who>\w+) have$`)},
	{"outfit", regexp.MustCompile(`^what does (?P<who>\w+) wear$`)},
	{"mood", regexp.MustCompile(`^how does (?P<who>\w+) feel$`)},
	{"place", regexp.MustCompile(`^who is in the (?P<value>\w+)$`)},
	{"thing", regexp.MustCompile(`^who has a (?P<value>\w+)$`)},
	{"outfit", regexp.MustCompile(`^who wears a (?P<value>\w+ \w+)$`)},
	{"mood", regexp.MustCompile(`^who is (?P<value>\w+)$`)},
}

// readQuestion understands a question; who or value is empty where it is asked for.
func readQuestion(question string) (claim, error) {
	question = strings.ToLower(strings.TrimRight(question, "?"))
	for _, p := range questionPatterns {
		m := p.pattern.FindStringSubmatch(question)
		if m == nil {
			continue
		}
		c := claim{relation: p.relation}
		if i := p.pattern.SubexpIndex("who"); i >= 0 {
			c.who = m[i]
		}
		if i := p.pattern.SubexpIndex("value"); i >= 0 {
			c.value = m[i]
		}
		return meant(c), nil
	}
	return claim{}, fmt.Errorf("no question: %q", question)
}

var thingsCompared = regexp.MustCompile(`^is a (\w+) (bigger|smaller|faster|slower) than a (\w+)$`)

func solveBoolQ(e *boolQ) (bool, error) {
	claims, err := readPassage(e.Passage)
	if err != nil {
		return false, err
	}
	if m := thingsCompared.FindStringSubmatch(e.Question); m != nil {
		order := bySize
		if m[2] == "faster" || m[2] == "slower" {
			order = bySpeed
		}
		first, second := slices.Index(order, m[1]), slices.Index(order, m[3])
		if first < 0 || second < 0 {
			return false, fmt.Errorf("no order of %q and %q", m[1], m[3])
		}
		return (first > second) == (m[2] == "bigger" || m[2] == "faster"), nil
	}
	asked, err := readQuestion(e.Question)
	return slices.Contains(claims, asked), err
}

// solveMultiRC returns the label of every answer.
func solveMultiRC(e *multiRC) (labels []int, err error) {
	for _, q := range e.Passage.Questions {
		if q.Question == "What was the result?" {
			for _, a := range q.Answers {
				label := 0
				for _, c := range clauses(e.Passage.Text) {
					if lawful(untimed(c), untimed(a.Text)) {
						label = 1
					}
				}
				labels = append(labels, label)
			}
			continue
		}
		claims, err := readPassage(e.Passage.Text)
		if err != nil {
			return nil, err
		}
		asked, err := readQuestion(q.Question)
		if err != nil {
			return nil, err
		}
		for _, a := range q.Answers {
			full := asked
			text := strings.ToLower(a.Text)
			if asked.who == "" {
				full.who = text
			} else {
				for _, prefix := range []string{"in the ", "the ", "a "} {
					if s, ok := strings.CutPrefix(text, prefix); ok {
						text = s
						break
					}
				}
				full.value = text
			}
			label := 0
			if slices.Contains(claims, meant(full)) {
				label = 1
			}
			labels = append(labels, label)
		}
	}
	return labels, nil
}

// classWords tell what kind of entity a query asks for.
var classWords = []struct {
	kind    string
	pattern *regexp.Regexp
}{
	{"city", regexp.MustCompile(`^X is a big city|tourists visit X|streets of X|stopped in X|mayor of X|^X lies on|map shows X|landed in X`)},
	{"dog", regexp.MustCompile(`^X barked|^X chased|^X ate a bone|^X wagged|^X slept in a basket|fur of X|puppies of X|^X bit`)},
	{"person", regexp.MustCompile(`^X wrote|^X told|^X opened|^X read|^X paid|^X cooked|asked X|father of X`)},
}

// solveRecord returns the entity that fits the query.
func solveRecord(e *record) (string, error) {
	entities := map[string]bool{}
	for _, span := range e.Passage.Entities {
		entities[e.Passage.Text[span.Start:span.End+1]] = true
	}
	fits := func(string) bool { return false }
	query := strings.ReplaceAll(e.Qas[0].Query, "@placeholder", "X")
	if asked, err := readClause(query); err == nil {
		claims, err := readPassage(e.Passage.Text)
		if err != nil {
			return "", err
		}
		fits = func(name string) bool {
			asked.who = strings.ToLower(name)
			return slices.Contains(claims, asked)
		}
	} else {
		for _, c := range classWords {
			if c.pattern.MatchString(query) {
				fits = func(name string) bool {
					kind := "person"
					if slices.Contains(classes[1].names, name) {
						kind = "city"
					} else if slices.Contains(classes[2].names, name) {
						kind = "dog"
					}
					return kind == c.kind
				}
			}
		}
	}
	var found []string
	for name := range entities {
		if fits(name) {
			found = append(found, name)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d of %v fit %q", len(found), entities, query)
	}
	return found[0], nil
}

var (
	compared = regexp.MustCompile(`^(\w+) is (\w+) than (\w+)$`)
	gift     = regexp.MustCompile(`^(\w+) gave a (\w+) to (\w+)$`)
	receipt  = regexp.MustCompile(`^(\w+) got a (\w+) from (\w+)$`)
)

// converse tells which comparison of people says the same the other way round.
var converse = map[string]string{"taller": "shorter", "older": "younger", "stronger": "weaker", "faster": "slower",
	"shorter": "taller", "younger": "older", "weaker": "stronger", "slower": "faster"}

// solveRTE tells whether the hypothesis follows.
func solveRTE(e *inference) (bool, error) {
	premise, hypothesis := untimed(e.Premise), untimed(e.Hypothesis)
	if m := compared.FindStringSubmatch(premise); m != nil {
		return hypothesis == m[3]+" is "+converse[m[2]]+" than "+m[1], nil
	}
	h, err := readClause(hypothesis)
	if err != nil {
		return false, err
	}
	if m := gift.FindStringSubmatch(premise); m != nil {
		return h == claim{who: m[3], relation: "thing", value: m[2]}, nil
	}
	if m := receipt.FindStringSubmatch(premise); m != nil {
		return h == claim{who: m[1], relation: "thing", value: m[2]}, nil
	}
	for _, part := range strings.Split(premise, " and ") {
		c, err := readClause(part)
		if err != nil {
			return false, err
		}
		if c == h {
			return true, nil
		}
		if c.who == h.who && c.relation == "thing" && !c.denied && h.relation == "thing" && !h.denied && kindOf(c.value).name == h.value {
			return true, nil
		}
	}
	return false, nil
}

// commitments tell what the words before a clause say of it: 1 that it is so,
// -1 that it is not, 0 neither.
var commitments = []struct {
	pattern *regexp.Regexp
	value   int
}{
	{regexp.MustCompile(`^it is (?:not true|false) that (.*)`), -1},
	{regexp.MustCompile(`^\w+ (?:pretended|lied) that (.*)`), -1},
	{regexp.MustCompile(`^\w+ (?:knows|saw) that (.*)`), 1},
	{regexp.MustCompile(`^it is (?:true|a fact) that (.*)`), 1},
	{regexp.MustCompile(`^\w+ (?:thinks|hopes) that (.*)`), 0},
	{regexp.MustCompile(`^it is (?:possible that|not known whether) (.*)`), 0},
}

func solveCB(e *inference) (string, error) {
	h, err := readClause(e.Hypothesis)
	if err != nil {
		return "", err
	}
	premise := untimed(e.Premise)
	for _, c := range commitments {
		m := c.pattern.FindStringSubmatch(premise)
		if m == nil {
			continue
		}
		p, err := readClause(m[1])
		if err != nil {
			return "", err
		}
		switch {
		case c.value == 1 && p == h:
			return "entailment", nil
		case c.value == -1 && p == h, c.value == 1 && p.excludes(h):
			return "contradiction", nil
		}
		return "neutral", nil
	}
	return "", fmt.Errorf("no premise: %q", premise)
}

// solveCOPA tells which choice the world's laws join to the premise.
func solveCOPA(e *copa) (int, error) {
	premise := untimed(e.Premise)
	var fits []int
	for i, choice := range []string{e.Choice1, e.Choice2} {
		cause, effect := untimed(choice), premise
		if e.Question == "effect" {
			cause, effect = effect, cause
		}
		if lawful(cause, effect) {
			fits = append(fits, i)
		}
	}
	if len(fits) != 1 {
		return 0, fmt.Errorf("%d choices fit %q", len(fits), premise)
	}
	return fits[0], nil
}

// means tells whether a clause is a wording of the tables, whoever {P} is.
func means(clause, wording string) bool {
	before, after, open := strings.Cut(strings.ToLower(wording), "{p}")
	if !open {
		return clause == before
	}
	who, ok := strings.CutPrefix(clause, before)
	if !ok {
		return false
	}
	who, ok = strings.CutSuffix(who, after)
	return ok && who != "" && !strings.Contains(who, " ")
}

// lawful tells whether the tables make one clause the cause of the other.
func lawful(cause, effect string) bool {
	for _, c := range causes {
		for _, a := range c.causes {
			for _, b := range c.effects {
				if means(cause, a) && means(effect, b) {
					return true
				}
			}
		}
	}
	for _, k := range kinds {
		for _, thing := range k.things {
			for _, verb := range []string{"wanted", "needed"} {
				if means(cause, "{P} "+verb+" a "+thing) && means(effect, "{P} went to the "+k.home) {
					return true
				}
			}
		}
	}
	return false
}

// solveWiC finds the sense of the word in both sentences.
func solveWiC(e *wic) (bool, error) {
	if e.Sentence1[e.Start1:e.End1] != e.Word || e.Sentence2[e.Start2:e.End2] != e.Word {
		return false, fmt.Errorf("the offsets do not hold %q", e.Word)
	}
	s1, err := senseOf(e.Word, untimed(e.Sentence1))
	if err != nil {
		return false, err
	}
	s2, err := senseOf(e.Word, untimed(e.Sentence2))
	return s1 == s2, err
}

func senseOf(word, clause string) (string, error) {
	var found []string
	for _, a := range slices.Concat(animalWords, otherWords) {
		for _, s := range a.senses {
			for _, c := range s.contexts {
				if a.word == word && means(clause, c) {
					found = append(found, s.meaning)
				}
			}
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%d senses of %q in %q", len(found), word, clause)
	}
	return found[0], nil
}

// referents tell who the pronoun is: 0 the first noun, 1 the second.
var referents = []struct {
	pattern *regexp.Regexp
	second  bool
}{
	{regexp.MustCompile(`not fit in .* too (big|large)`), false},
	{regexp.MustCompile(`not fit in .* too (small|narrow)`), true},
	{regexp.MustCompile(`could not lift .* (weak|very small)$`), false},
	{regexp.MustCompile(`could not lift .* (heavy|very big)$`), true},
	{regexp.MustCompile(`lent money .* (rich|generous)$`), false},
	{regexp.MustCompile(`lent money .* (poor|in need)$`), true},
	{regexp.MustCompile(`asked .* (wanted the answer|did not know the answer)$`), false},
	{regexp.MustCompile(`asked .* s?he (knew the answer|had the answer)$`), true},
	{regexp.MustCompile(`thanked .* had received`), false},
	{regexp.MustCompile(`thanked .* had given`), true},
	{regexp.MustCompile(` beat .* (fast|quick)$`), false},
	{regexp.MustCompile(` beat .* (slow|lame)$`), true},
	{regexp.MustCompile(`visited .* (lonely|bored)$`), false},
	{regexp.MustCompile(`visited .* (ill|sick)$`), true},
	{regexp.MustCompile(`taught .* (teacher|singer)$`), false},
	{regexp.MustCompile(`taught .* (student|beginner)$`), true},
	{regexp.MustCompile(`hid from .* (afraid|scared)$`), false},
	{regexp.MustCompile(`hid from .* (angry|dangerous)$`), true},
	{regexp.MustCompile(`^the (vase|plate|mirror|bottle|bowl) hit .* it broke$`), false},
	{regexp.MustCompile(`^the (stone|hammer|brick|rock) hit .* it broke$`), true},
}

// solveWSC tells whether the candidate is what the pronoun refers to.
func solveWSC(e *wsc) (bool, error) {
	fields := strings.Fields(e.Text)
	t := e.Target
	span1 := fields[t.Span1Index:][:len(strings.Fields(t.Span1Text))]
	if got := strings.Join(span1, " "); got != t.Span1Text {
		return false, fmt.Errorf("span1 is %q at its index, not %q", got, t.Span1Text)
	}
	if fields[t.Span2Index] != t.Span2Text {
		return false, fmt.Errorf("span2 is %q at its index, not %q", fields[t.Span2Index], t.Span2Text)
	}
	clause := untimed(e.Text)
	var nouns []string // the candidates in the order of the text
	for _, w := range strings.Fields(clause) {
		name := slices.ContainsFunc(people, func(p person) bool { return strings.ToLower(p.name) == w })
		if name || slices.Contains(loads, w) || slices.Contains(containers, w) || slices.Contains(hardThings, w) || slices.Contains(fragile, w) {
			nouns = append(nouns, w)
		}
	}
	if len(nouns) != 2 || nouns[0] == nouns[1] {
		return false, fmt.Errorf("the candidates are %q", nouns)
	}
	for _, r := range referents {
		if r.pattern.MatchString(clause) {
			answer := nouns[0]
			if r.second {
				answer = nouns[1]
			}
			return strings.HasSuffix(strings.ToLower(t.Span1Text), answer), nil
		}
	}
	return false, fmt.Errorf("no rule for %q", clause)
}

// solve checks one labelled example.
func solve(e example) error {
	var got, want any
	var err error
	switch e := e.(type) {
	case *boolQ:
		want = *e.Label
		got, err = solveBoolQ(e)
	case *copa:
		want = *e.Label
		got, err = solveCOPA(e)
	case *wic:
		want = *e.Label
		got, err = solveWiC(e)
	case *wsc:
		want = *e.Label
		got, err = solveWSC(e)
	case *record:
		want = e.Qas[0].Answers[0].Text
		got, err = solveRecord(e)
	case *inference:
		want = *e.Label
		if slices.Contains(cbLabels[1:], *e.Label) || strings.Contains(e.Premise, " that ") || strings.Contains(e.Premise, " whether ") {
			got, err = solveCB(e)
		} else {
			var follows bool
			follows, err = solveRTE(e)
			got = map[bool]string{true: "entailment", false: "not_entailment"}[follows]
		}
	case *multiRC:
		labels, e2 := solveMultiRC(e)
		err = e2
		var given []int
		for _, q := range e.Passage.Questions {
			for _, a := range q.Answers {
				given = append(given, *a.Label)
			}
		}
		want, got = fmt.Sprint(given), fmt.Sprint(labels)
	}
	if err == nil && got != want {
		err = fmt.Errorf("the label is %v, the solver says %v", want, got)
	}
	return err
}

func TestLabelsFollowFromTheWorld(t *testing.T) {
	for difficulty := 1; difficulty <= 3; difficulty++ {
		p := Defaults()
		p.Difficulty, p.Seed = difficulty, uint64(40+difficulty)
		w, err := New(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, task := range Tasks() {
			t.Run(fmt.Sprintf("%s/difficulty %d", task, difficulty), func(t *testing.T) {
				splits, err := w.examples(task)
				if err != nil {
					t.Fatal(err)
				}
				wrong := 0
				for _, split := range []string{"train", "val"} {
					for _, e := range splits[split] {
						if err := solve(e); err != nil {
							t.Errorf("%s: %v\n%+v", split, err, e)
							if wrong++; wrong == 5 {
								t.FailNow()
							}
						}
					}
				}
			})
		}
	}
}

// TestSolverSeesWrongLabels makes sure that the agreement means something.
func TestSolverSeesWrongLabels(t *testing.T) {
	w := newWorld(t, small())
	for _, task := range Tasks() {
		for _, e := range examplesOf(t, w, task)["val"] {
			switch e := e.(type) {
			case *boolQ:
				*e.Label = !*e.Label
			case *wic:
				*e.Label = !*e.Label
			case *wsc:
				*e.Label = !*e.Label
			case *copa:
				*e.Label = 1 - *e.Label
			case *inference:
				flipped := map[string]string{"entailment": "not_entailment", "not_entailment": "entailment"}
				if task == "CB" {
					flipped = map[string]string{"entailment": "neutral", "neutral": "contradiction", "contradiction": "entailment"}
				}
				*e.Label = flipped[*e.Label]
			case *multiRC:
				*e.Passage.Questions[0].Answers[0].Label ^= 1
			case *record:
				for _, span := range e.Passage.Entities {
					if name := e.Passage.Text[span.Start : span.End+1]; name != e.Qas[0].Answers[0].Text {
						e.Qas[0].Answers[0].Text = name
						break
					}
				}
			}
			if solve(e) == nil {
				t.Errorf("%s: the solver agrees with a wrong label: %+v", task, e)
			}
		}
	}
}
