package microworld

import "slices"

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

// moods come in pairs of opposites.
var moods = []string{
	"happy", "sad", "tired", "awake", "hungry", "full",
	"rich", "poor", "calm", "angry", "healthy", "ill",
}

// relation is what a text can say of a person. In this world a relation has
// one value for each person at a time: who is in one place is in no other, and
// what a text does not tell somebody to have, they do not have.
type relation struct {
	name   string
	values []string
	// says are the wordings of a statement: {P} the person, {V} the value.
	// All mean the same to a reader of the text.
	says []string
	// ask is the yes/no question, where and who ask for value and person,
	// answer is how a value answers.
	ask, what, who, answer string
}

var relations = []relation{
	{"place", places,
		[]string{"{P} is in the {V}", "{P} went to the {V}", "{P} walked to the {V}", "{P} stayed in the {V}"},
		"is {P} in the {V}", "where is {P}", "who is in the {V}", "the {V}"},
	{"thing", things,
		[]string{"{P} has a {V}", "{P} bought a {V}", "{P} found a {V}", "a {V} was bought by {P}"},
		"does {P} have a {V}", "what does {P} have", "who has a {V}", "a {V}"},
	{"mood", moods,
		[]string{"{P} is {V}", "{P} felt {V}", "{P} looked {V}"},
		"is {P} {V}", "how does {P} feel", "who is {V}", "{V}"},
	{"outfit", outfits,
		[]string{"{P} wears a {V}", "{P} put on a {V}"},
		"does {P} wear a {V}", "what does {P} wear", "who wears a {V}", "a {V}"},
}

// cause is one causal law: what happens, and what follows from it. Each side
// has several wordings; {P} is the person it happens to, {S} a pronoun for
// them. Laws that share a topic are too close to tell apart, so that none is
// offered as the wrong alternative to another.
type cause struct {
	topic           string
	causes, effects []string
}

var causes = []cause{
	{"wet", []string{"it rained all day", "the rain was heavy"}, []string{"the street was wet", "the grass was wet"}},
	{"snow", []string{"it snowed all night", "there was much snow"}, []string{"the road was white", "the children made a snowman"}},
	{"sun", []string{"the sun was hot", "it was a hot day"}, []string{"the ice melted", "the butter became soft"}},
	{"wind", []string{"the wind was strong", "there was a storm"}, []string{"the tree fell down", "the roof was damaged"}},
	{"food", []string{"{P} ate nothing", "{P} missed lunch"}, []string{"{P} wanted some food", "{P} cooked a big dinner"}},
	{"break", []string{"{P} dropped the cup", "the cup fell from the table"}, []string{"the cup broke", "there were pieces on the floor"}},
	{"sleep", []string{"{P} worked all night", "{P} did not sleep"}, []string{"{P} was very tired", "{P} went to bed early"}},
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
	{"save", []string{"{P} saved money for a year", "{P} got a new job"}, []string{"{P} bought a house", "{P} moved to the city"}},
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

var ambiguousWords = []ambiguous{
	{"bank", [2]sense{
		{"a place for money", []string{"{P} put the money in the bank", "the bank gave {P} a loan", "{P} opened an account at the bank", "{P} paid the bill at the bank"}},
		{"the side of a river", []string{"{P} sat on the bank of the river", "the boat of {P} reached the muddy bank", "{P} caught a fish from the bank", "{P} swam to the other bank"}}}},
	{"bat", [2]sense{
		{"an animal", []string{"{P} saw a bat fly at night", "the bat slept in the cave near {P}", "{P} heard the wings of the bat", "{P} watched the bat eat insects"}},
		{"a stick for a game", []string{"{P} hit the baseball with the bat", "{P} swung the wooden bat", "{P} carried the bat to the baseball game", "the player gave {P} the bat"}}}},
	{"spring", [2]sense{
		{"a season", []string{"{P} plants seeds in spring", "{P} was born in spring", "after the winter {P} enjoys the spring", "{P} loves the warm days of spring"}},
		{"a piece of metal", []string{"the spring in the chair of {P} broke", "{P} pressed the metal spring", "{P} put a new spring in the clock", "{P} bent the spring of the bed"}}}},
	{"crane", [2]sense{
		{"a bird", []string{"the crane flew over {P}", "{P} saw a crane on its nest", "{P} painted the white feathers of the crane", "{P} fed the crane at the lake"}},
		{"a machine", []string{"{P} lifted the bricks with the crane", "the crane moved the steel for {P}", "{P} drives a crane at the building site", "{P} repaired the engine of the crane"}}}},
	{"seal", [2]sense{
		{"an animal", []string{"{P} watched the seal swim in the sea", "the seal ate a fish from {P}", "{P} saw a seal on the ice", "{P} photographed the fat seal at the beach"}},
		{"a mark on a letter", []string{"{P} broke the seal of the letter", "{P} put a wax seal on the envelope", "the king gave {P} a paper with a seal", "{P} stamped the document with the seal"}}}},
	{"match", [2]sense{
		{"a game", []string{"{P} won the tennis match", "{P} watched the match on television", "the team of {P} lost the match", "{P} bought a ticket for the match"}},
		{"a stick for fire", []string{"{P} lit the candle with a match", "{P} took a match from the packet", "{P} burned a finger with the match", "the match of {P} started the fire"}}}},
	{"palm", [2]sense{
		{"a tree", []string{"{P} sat under the palm at the beach", "{P} climbed the tall palm", "{P} picked a coconut from the palm", "the wind shook the leaves of the palm near {P}"}},
		{"a part of the hand", []string{"{P} held a coin in the palm of the hand", "{P} had a scar on the left palm", "the nurse washed the palm of {P}", "{P} wrote a number on the palm with ink"}}}},
	{"bark", [2]sense{
		{"the skin of a tree", []string{"{P} cut a name in the bark of the tree", "{P} touched the rough bark", "{P} made a basket from bark and twigs", "{P} saw ants on the bark of the oak"}},
		{"the sound of a dog", []string{"{P} woke up from the bark of the puppy", "{P} heard a loud bark", "the bark of the guard dog scared {P}", "the puppy of {P} gave a happy bark"}}}},
	{"mouse", [2]sense{
		{"an animal", []string{"{P} saw a mouse eat cheese", "the mouse of {P} has a long tail", "{P} caught the mouse with a trap", "{P} heard a mouse behind the wall"}},
		{"a part of a computer", []string{"{P} clicked with the mouse", "{P} moved the mouse over the screen", "{P} bought a mouse for the computer", "{P} plugged the mouse into the laptop"}}}},
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
