package wordpiece

import (
	"math/bits"
	"strings"
)

// trie finds the longest token at the start of a string. Its edges lie in one
// hash table, keyed by node and byte.
type trie struct {
	edges []edge  // length a power of two
	shift int     // of the hash
	ids   []int32 // by node: the token that ends there, or -1
}

// edge leads from a node over a byte to another node; to is 0 in an empty
// place of the table.
type edge struct {
	from uint32 // node<<8 | byte
	to   uint32
}

// The two roots: tokens that begin a word, and those that continue one.
const (
	wordStart uint32 = iota
	wordInside
	roots
)

func newTrie(vocab []string) trie {
	nodes := int(roots)
	for _, token := range vocab {
		nodes += len(token) // an upper bound: nothing shared
	}
	bitsUsed := bits.Len(uint(nodes))
	tr := trie{edges: make([]edge, 1<<bitsUsed), shift: 64 - bitsUsed, ids: []int32{-1, -1}}
	for id, token := range vocab {
		if rest, ok := strings.CutPrefix(token, continuation); !ok {
			tr.insert(wordStart, token, int32(id))
		} else if rest != "" {
			tr.insert(wordInside, rest, int32(id))
		}
	}
	return tr
}

// slot is the place of the edge from, or the empty place where it belongs.
func (tr *trie) slot(from uint32) *edge {
	i := int(uint64(from) * 0x9e3779b97f4a7c15 >> tr.shift)
	for {
		e := &tr.edges[i&(len(tr.edges)-1)]
		if e.from == from && e.to != 0 || e.to == 0 {
			return e
		}
		i++
	}
}

func (tr *trie) insert(node uint32, token string, id int32) {
	for i := 0; i < len(token); i++ {
		from := node<<8 | uint32(token[i])
		e := tr.slot(from)
		if e.to == 0 {
			*e = edge{from: from, to: uint32(len(tr.ids))}
			tr.ids = append(tr.ids, -1)
		}
		node = e.to
	}
	tr.ids[node] = id
}

// longest returns the id of the longest token that word begins with, and its
// length in bytes; 0 where there is none. root says which tokens count.
func (tr *trie) longest(root uint32, word []byte) (id int32, n int) {
	node := root
	for i, c := range word {
		node = tr.slot(node<<8 | uint32(c)).to
		if node == 0 {
			break
		}
		if found := tr.ids[node]; found >= 0 {
			id, n = found, i+1
		}
	}
	return id, n
}
