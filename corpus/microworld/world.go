package microworld

import (
	"slices"
	"strings"
)

// The world is constant: these tables are what holds in it whatever the seed.
// A text may name people, things and places freely; what it says of them in
// passing is an episode, what the tables say holds everywhere.

// person is somebody a text can be about.
type person struct {
	name   string
	female bool
}

func (p person) pronoun() string {
	if p.female {
		return "she"
	}
	return "he"
}

// people alternates women and men, so that the first 2n are balanced.
var people = []person{
	{"Anna", true}, {"Ben", false}, {"Clara", true}, {"David", false},
	{"Emma", true}, {"Frank", false}, {"Grace", true}, {"Henry", false},
	{"Helen", true}, {"Jack", false}, {"Julia", true}, {"Kevin", false},
	{"Laura", true}, {"Martin", false}, {"Nora", true}, {"Oscar", false},
	{"Paula", true}, {"Peter", false}, {"Rosa", true}, {"Simon", false},
	{"Sara", true}, {"Tom", false}, {"Vera", true}, {"Victor", false},
	{"Alice", true}, {"Carl", false}, {"Diana", true}, {"Eric", false},
	{"Lucy", true}, {"Paul", false}, {"Mary", true}, {"John", false},
	{"Eva", true}, {"George", false}, {"Irene", true}, {"Leo", false},
	{"Maria", true}, {"Max", false}, {"Olga", true}, {"Robert", false},
}

var places = []string{
	"kitchen", "garden", "school", "market", "station", "park", "library", "office",
	"museum", "church", "forest", "hospital", "farm", "garage", "workshop", "shop",
}

// kind is a class of things: what it is called, and the place where its
// things are kept.
type kind struct {
	name, home string
	things     []string
}

var kinds = []kind{
	{"fruit", "market", []string{"plum", "lemon", "pear", "melon"}},
	{"tool", "workshop", []string{"needle", "knife", "hammer", "ladder"}},
	{"toy", "shop", []string{"marble", "doll", "ball", "kite"}},
	{"animal", "farm", []string{"frog", "duck", "dog", "horse"}},
	{"flower", "garden", []string{"daisy", "tulip", "rose", "sunflower"}},
	{"vehicle", "garage", []string{"bike", "cart", "car", "truck"}},
}

var kindNames = func() (all []string) {
	for _, k := range kinds {
		all = append(all, k.name)
	}
	return all
}()

// things are all that can be had.
var things = func() (all []string) {
	for _, k := range kinds {
		all = append(all, k.things...)
	}
	return all
}()

func kindOf(thing string) kind {
	return kinds[slices.IndexFunc(kinds, func(k kind) bool { return slices.Contains(k.things, thing) })]
}

// bySize orders all things from the smallest to the biggest, bySpeed those
// that move from the slowest to the fastest.
var (
	bySize = []string{
		"needle", "marble", "plum", "daisy", "lemon", "frog", "pear", "tulip",
		"knife", "rose", "doll", "hammer", "melon", "ball", "duck", "kite",
		"sunflower", "dog", "ladder", "bike", "cart", "horse", "car", "truck",
	}
	bySpeed = []string{"frog", "duck", "cart", "dog", "bike", "horse", "truck", "car"}
)

var colours = []string{"red", "green", "blue", "black", "white", "yellow"}

var garments = []string{"hat", "coat", "scarf", "shirt"}

// outfits are the coloured garments a person can wear.
var outfits = func() (all []string) {
	for _, g := range garments {
		for _, c := range colours {
			all = append(all, c+" "+g)
		}
	}
	return all
}()

// feeling is a pair of opposite moods, each with a word that means the same.
type feeling struct{ good, bad [2]string }

var feelings = []feeling{
	{[2]string{"happy", "glad"}, [2]string{"sad", "unhappy"}},
	{[2]string{"awake", "fresh"}, [2]string{"tired", "sleepy"}},
	{[2]string{"rich", "wealthy"}, [2]string{"poor", "penniless"}},
	{[2]string{"calm", "peaceful"}, [2]string{"angry", "furious"}},
	{[2]string{"healthy", "well"}, [2]string{"ill", "sick"}},
	{[2]string{"brave", "fearless"}, [2]string{"afraid", "scared"}},
}

// moods are all words for feelings. same and opposite map a word to its
// synonym and to the two words for the contrary.
var (
	moods    []string
	same     = map[string]string{}
	opposite = map[string][2]string{}
)

func init() {
	for _, f := range feelings {
		for _, side := range [][2][2]string{{f.good, f.bad}, {f.bad, f.good}} {
			for i, word := range side[0] {
				moods = append(moods, word)
				same[word], opposite[word] = side[0][1-i], side[1]
			}
		}
	}
}

// relation is what a text can say of a person. In this world a relation has
// one value for each person at a time: who is in one place is in no other, and
// what a text does not tell somebody to have, they do not have.
type relation struct {
	name   string
	values []string
	// says and denies are the wordings of a statement and of its contrary:
	// {P} the person, {V} the value. All of one list mean the same to a
	// reader of the text.
	says, denies []string
	// ask is the yes/no question, what and who ask for value and person,
	// answer is how a value answers.
	ask, what, who, answer string
}

// The relations. Values that depend on other tables are set in init.
var (
	inPlace = &relation{name: "place", values: places,
		says:   []string{"{P} is in the {V}", "{P} went to the {V}", "{P} walked to the {V}", "{P} stayed in the {V}"},
		denies: []string{"{P} is not in the {V}", "{P} left the {V}", "{P} never went to the {V}", "{P} walked out of the {V}"},
		ask:    "is {P} in the {V}", what: "where is {P}", who: "who is in the {V}", answer: "the {V}"}
	hasThing = &relation{name: "thing", values: things,
		says:   []string{"{P} has a {V}", "{P} bought a {V}", "{P} found a {V}", "a {V} was bought by {P}"},
		denies: []string{"{P} does not have a {V}", "{P} sold a {V}", "{P} lost a {V}", "a {V} was sold by {P}"},
		ask:    "does {P} have a {V}", what: "what does {P} have", who: "who has a {V}", answer: "a {V}"}
	inMood = &relation{name: "mood",
		says:   []string{"{P} is {V}", "{P} felt {V}", "{P} looked {V}"},
		denies: []string{"{P} is not {V}", "{P} never felt {V}", "{P} did not look {V}"},
		ask:    "is {P} {V}", what: "how does {P} feel", who: "who is {V}", answer: "{V}"}
	inOutfit = &relation{name: "outfit", values: outfits,
		says:   []string{"{P} wears a {V}", "{P} put on a {V}"},
		denies: []string{"{P} does not wear a {V}", "{P} took off a {V}"},
		ask:    "does {P} wear a {V}", what: "what does {P} wear", who: "who wears a {V}", answer: "a {V}"}
	relations = []*relation{inPlace, hasThing, inMood, inOutfit}
)

func init() { inMood.values = moods }

// class is a kind of named entity and what can be said of those of that kind
// only.
type class struct {
	names []string
	// says are statements about {E}.
	says []string
}

// classes are people (whose names Params limits), cities and dogs.
var classes = []class{
	{nil, []string{"{E} wrote a letter", "{E} told a story", "{E} opened the window", "{E} read a book", "{E} paid the bill", "{E} cooked the dinner", "the teacher asked {E}", "the father of {E} smiled"}},
	{[]string{"Paris", "London", "Rome", "Berlin", "Madrid", "Vienna", "Oslo", "Dublin"},
		[]string{"{E} is a big city", "many tourists visit {E}", "the streets of {E} are old", "the train stopped in {E}", "the mayor of {E} gave a speech", "{E} lies on a river", "the map shows {E}", "the plane landed in {E}"}},
	{[]string{"Rex", "Fido", "Rocky", "Lucky", "Snowy", "Buddy", "Bello", "Spot"},
		[]string{"{E} barked loudly", "{E} chased a cat", "{E} ate a bone", "{E} wagged its tail", "{E} slept in a basket", "the fur of {E} is brown", "the puppies of {E} played", "{E} bit the postman"}},
}

// travels bring a person {P}, a city {C} and a dog {D} together.
var travels = []string{"{P} went to {C} with {D}", "{P} took {D} to {C}", "{P} lives in {C} with {D}", "in {C} {P} walked with {D}", "{D} followed {P} to {C}"}

// cause is one causal law: what happens, and what follows from it. Each side
// has several wordings; {P} is the person it happens to, {S} a pronoun for
// them. Laws that share a topic are too close to tell apart, so that none is
// offered as the wrong alternative to another.
type cause struct {
	topic           string
	causes, effects []string
}

var causes = []cause{
	{"wet", []string{"it rained for hours", "the rain was heavy"}, []string{"the street was wet", "the grass was wet"}},
	{"snow", []string{"it snowed for hours", "there was much snow"}, []string{"the road was white", "the children made a snowman"}},
	{"sun", []string{"the sun was hot", "the day was hot"}, []string{"the ice melted", "the butter became soft"}},
	{"wind", []string{"the wind was strong", "there was a storm"}, []string{"the tree fell down", "the roof was damaged"}},
	{"food", []string{"{P} ate nothing", "{P} missed lunch"}, []string{"{P} wanted some food", "{P} cooked a big dinner"}},
	{"break", []string{"{P} dropped the cup", "the cup fell from the table"}, []string{"the cup broke", "there were pieces on the floor"}},
	{"sleep", []string{"{P} worked for many hours", "{P} did not sleep"}, []string{"{P} was very tired", "{P} went to bed early"}},
	{"test", []string{"{P} studied hard", "{P} learned every lesson"}, []string{"{P} passed the test", "the teacher was pleased"}},
	{"late", []string{"the clock was broken", "{P} woke up late"}, []string{"{P} missed the train", "{P} was late for work"}},
	{"joke", []string{"{P} told a joke", "the story was funny"}, []string{"the friends laughed", "everybody smiled"}},
	{"oven", []string{"{P} left the oven on", "the bread stayed in the oven"}, []string{"the bread burned", "the kitchen was full of smoke"}},
	{"ill", []string{"{P} caught a cold", "{P} was ill"}, []string{"{P} called the doctor", "{P} stayed in bed"}},
	{"birthday", []string{"it was the birthday of {P}", "{P} had a birthday"}, []string{"{P} got a present", "there was a cake"}},
	{"money", []string{"{P} lost the wallet", "{P} had no money"}, []string{"{P} could not pay", "{P} borrowed ten dollars"}},
	{"key", []string{"{P} forgot the key", "the lock was stuck"}, []string{"{P} could not open the door", "{P} waited outside"}},
	{"dark", []string{"the lamp was broken", "the light went out"}, []string{"the room was dark", "{P} could not read"}},
	{"fear", []string{"{P} heard a strange noise", "a stranger came to the house"}, []string{"{P} was afraid", "{P} locked the door"}},
	{"game", []string{"{P} won the game", "{P} scored a goal"}, []string{"{P} was proud", "the team cheered"}},
	{"noise", []string{"the music was loud", "the neighbours had a party"}, []string{"{P} closed the window", "{P} covered both ears"}},
	{"car", []string{"the tire was flat", "the engine stopped"}, []string{"the bus did not move", "{P} had to walk home"}},
	{"cut", []string{"{P} cut a finger", "the glass was sharp"}, []string{"{P} needed a bandage", "{P} cried with pain"}},
	{"dry", []string{"nobody watered the plants", "the plants got no water"}, []string{"the plants died", "the leaves became dry"}},
	{"thirst", []string{"{P} ran a long way", "{P} ate salty fish"}, []string{"{P} was thirsty", "{P} drank some water"}},
	{"tea", []string{"{P} put salt in the tea", "the milk was old"}, []string{"the tea tasted bad", "{P} threw the tea away"}},
	{"mud", []string{"{P} stepped in the mud", "the path was muddy"}, []string{"the shoes were dirty", "{P} washed the shoes"}},
	{"lie", []string{"{P} told a lie", "{P} broke a promise"}, []string{"nobody trusted {P}", "{P} said sorry"}},
	{"save", []string{"{P} saved much money", "{P} got a new job"}, []string{"{P} bought a house", "{P} moved to the city"}},
	{"bee", []string{"a bee stung {P}", "{P} touched the hot stove"}, []string{"the hand hurt", "{P} put ice on the hand"}},
}

// sense is one meaning of an ambiguous word.
type sense struct {
	meaning string
	// contexts are clauses that use the word once in this sense; {P} is a
	// person.
	contexts []string
}

// ambiguous is a word with two senses.
type ambiguous struct {
	word   string
	senses [2]sense
}

// animal is the sense that all words of animalWords share.
var animalContexts = []string{
	"{P} gave the {W} some food", "the {W} slept in its nest near {P}", "{P} saw the {W} and its young", "the hungry {W} ate from the hand of {P}",
	"{P} heard the cry of the wild {W}", "the fur of the {W} was soft for {P}", "{P} watched the {W} hunt for food", "the {W} swam across the lake to {P}",
}

// animalWords name an animal and something made by people.
var animalWords = []ambiguous{
	word("bat", "a stick for a game", "{P} hit the baseball with the bat", "{P} swung the wooden bat", "the player broke the bat of {P}", "{P} carried the bat to the game"),
	word("crane", "a machine", "{P} lifted the bricks with the crane", "{P} repaired the engine of the crane", "the crane of {P} moved the steel", "{P} drove a crane at work"),
	word("seal", "a mark on a letter", "{P} broke the seal of the letter", "{P} put a wax seal on the envelope", "the king gave {P} a paper with a seal", "{P} stamped the seal on the document"),
	word("mouse", "a part of a computer", "{P} clicked with the mouse", "{P} moved the mouse over the screen", "the computer of {P} needed a mouse", "{P} plugged the mouse into the laptop"),
	word("jaguar", "a car", "{P} drove the jaguar on the road", "{P} put petrol in the jaguar", "the jaguar of {P} lost a wheel", "{P} changed the tire of the jaguar"),
	word("cricket", "a game", "{P} won the cricket match", "{P} watched cricket on television", "the cricket team of {P} lost", "{P} played cricket at college"),
	word("mole", "a spy", "the police arrested {P} as a mole", "the mole stole secret papers from {P}", "{P} was a mole in the government", "the mole told {P} the password"),
	word("ram", "a tool", "{P} broke the door with the ram", "the soldiers of {P} built an iron ram", "{P} pushed the heavy ram against the gate", "the ram of {P} was made of wood and iron"),
}

// word is an ambiguous word with an animal sense.
func word(w, meaning string, contexts ...string) ambiguous {
	animal := make([]string, len(animalContexts))
	for i, c := range animalContexts {
		animal[i] = strings.ReplaceAll(c, "{W}", w)
	}
	return ambiguous{w, [2]sense{{"an animal", animal}, {meaning, contexts}}}
}

// otherWords have two senses that no other word shares; they are harder.
var otherWords = []ambiguous{
	{"bank", [2]sense{
		{"a place for money", []string{"{P} put the money in the bank", "the bank gave {P} a loan", "{P} opened an account at the bank", "{P} paid the bill at the bank"}},
		{"the side of a river", []string{"{P} sat on the bank of the river", "the boat of {P} reached the muddy bank", "{P} caught a fish from the bank", "{P} swam to the other bank"}}}},
	{"spring", [2]sense{
		{"a season", []string{"{P} planted seeds in spring", "{P} was born in spring", "after the winter {P} enjoyed the spring", "{P} loved the warm days of spring"}},
		{"a piece of metal", []string{"the spring in the chair of {P} broke", "{P} pressed the metal spring", "{P} put a new spring in the clock", "{P} bent the spring of the bed"}}}},
	{"match", [2]sense{
		{"a game", []string{"{P} won the tennis match", "{P} watched the match on television", "the team of {P} lost the match", "{P} bought a ticket for the match"}},
		{"a stick for fire", []string{"{P} lit the candle with a match", "{P} took a match from the packet", "{P} burned a finger with the match", "the match of {P} started the fire"}}}},
	{"palm", [2]sense{
		{"a tree", []string{"{P} sat under the palm at the beach", "{P} climbed the tall palm", "{P} picked a coconut from the palm", "the wind shook the leaves of the palm near {P}"}},
		{"a part of the hand", []string{"{P} held a coin in the palm of the hand", "{P} had a scar on the left palm", "the nurse washed the palm of {P}", "{P} wrote a number on the palm with ink"}}}},
	{"bark", [2]sense{
		{"the skin of a tree", []string{"{P} cut a name in the bark of the tree", "{P} touched the rough bark", "{P} made a basket from bark and twigs", "{P} saw ants on the bark of the oak"}},
		{"the sound of a dog", []string{"{P} woke up from the bark of the puppy", "{P} heard a loud bark", "the bark of the guard dog scared {P}", "the puppy of {P} gave a happy bark"}}}},
	{"nail", [2]sense{
		{"a part of a finger", []string{"{P} painted the nail of the thumb", "{P} bit a nail in class", "{P} cut the nail of a toe with scissors", "{P} filed the long nail"}},
		{"a piece of iron", []string{"{P} drove the nail into the wood", "{P} hung the picture on a nail", "{P} pulled the rusty nail from the board", "{P} fixed the fence with a nail"}}}},
	{"trunk", [2]sense{
		{"a part of an elephant", []string{"the elephant lifted {P} with its trunk", "the elephant waved its trunk at {P}", "{P} touched the grey trunk of the elephant", "{P} saw the trunk of the baby elephant"}},
		{"a large case", []string{"{P} packed the clothes in the trunk", "{P} locked the heavy trunk", "{P} stored old letters in the trunk", "{P} carried the trunk up the stairs"}}}},
	{"ring", [2]sense{
		{"a jewel", []string{"{P} wore a gold ring", "{P} bought a ring for the wedding", "{P} lost the ring with the diamond", "{P} put the silver ring on a finger"}},
		{"the sound of a telephone", []string{"{P} answered the ring of the telephone", "{P} heard the ring of the bell", "the loud ring of the alarm woke {P}", "{P} waited for the ring of the phone"}}}},
}
