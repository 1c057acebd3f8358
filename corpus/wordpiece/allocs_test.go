//go:build !race

package wordpiece

import (
	"strings"
	"testing"
)

// Under the race detector sync.Pool forgets on purpose.
func TestEncodeAllocatesNothing(t *testing.T) {
	tok := small(t)
	text := strings.Repeat("The unaffable cats sat, naïvely: иии 中文 한국어한국어 a\u302e\u1b44a\u302e\u1b44 "+strings.Repeat("s", 40)+" "+strings.Repeat("é", 150)+" [MASK]. ", 20)
	ids := tok.Encode(nil, text)
	if n := testing.AllocsPerRun(50, func() { ids = tok.Encode(ids[:0], text) }); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}
