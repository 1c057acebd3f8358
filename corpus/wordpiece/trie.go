package wordpiece

import (
	"cmp"
	"slices"
	"strings"
)

// trie finds the longest token at the start of a string. It is a double array:
// the child of node n over byte c is nodes[n].base+c, if that one's parent is n.
type trie struct {
	nodes []trieNode
}

type trieNode struct {
	base   int32
	parent int32 // of this node; -1 where the place is free
	id     int32 // the token that ends here, or -1
}

// The two roots: tokens that begin a word, and those that continue one.
const (
	wordStart int32 = iota
	wordInside
	roots
)

// entry is a token without its continuation mark.
type entry struct {
	text string
	id   int32
}

func newTrie(vocab []string) trie {
	var starts, continuations []entry
	for id, token := range vocab {
		if rest, ok := strings.CutPrefix(token, continuation); !ok {
			starts = append(starts, entry{token, int32(id)})
		} else if rest != "" {
			continuations = append(continuations, entry{rest, int32(id)})
		}
	}
	t := trie{}
	t.grow(int(roots) + 256)
	t.nodes[wordStart].parent, t.nodes[wordInside].parent = 0, 0

	// Breadth first: the nodes with many children find places while there is
	// room.
	type task struct {
		node    int32
		depth   int
		entries []entry
	}
	free := [2]int32{roots, roots} // where to look for places: for one child, for more
	queue := []task{{wordStart, 0, starts}, {wordInside, 0, continuations}}
	for _, task := range queue {
		slices.SortFunc(task.entries, func(a, b entry) int { return cmp.Compare(a.text, b.text) })
	}
	var children []task
	for len(queue) > 0 {
		task := queue[0]
		queue = queue[1:]
		entries := task.entries
		if len(entries) > 0 && len(entries[0].text) == task.depth {
			t.nodes[task.node].id = entries[0].id
			entries = entries[1:]
		}
		if len(entries) == 0 {
			continue
		}
		children = children[:0]
		for len(entries) > 0 {
			c := entries[0].text[task.depth]
			n := 1
			for n < len(entries) && entries[n].text[task.depth] == c {
				n++
			}
			child := task
			child.node, child.depth, child.entries = int32(c), task.depth+1, entries[:n]
			children = append(children, child)
			entries = entries[n:]
		}
		// A search goes on where the last one of its kind ended; what nodes
		// with many children leave free, those with one fill.
		from := &free[min(len(children), len(free))-1]
	search:
		for ; ; *from++ {
			t.grow(int(*from) + 512)
			for _, child := range children {
				if t.nodes[*from+child.node].parent >= 0 {
					continue search
				}
			}
			break
		}
		base := *from
		t.nodes[task.node].base = base
		for _, child := range children {
			child.node += base
			t.nodes[child.node].parent = task.node
			queue = append(queue, child)
		}
	}
	return t
}

// grow makes at least n places.
func (t *trie) grow(n int) {
	for len(t.nodes) < n {
		t.nodes = append(t.nodes, trieNode{parent: -1, id: -1})
	}
}

// longest returns the id of the longest token that word begins with, and its
// length in bytes; 0 where there is none. root says which tokens count.
func (t *trie) longest(root int32, word []byte) (id int32, n int) {
	node := root
	at := &t.nodes[root]
	for i, c := range word {
		child := at.base + int32(c)
		at = &t.nodes[child]
		if at.parent != node {
			break
		}
		node = child
		if at.id >= 0 {
			id, n = at.id, i+1
		}
	}
	return id, n
}
