package wordpiece

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// sharedFolder is the folder that the variable names, else def below the
// module's root; the test is skipped where it is missing.
func sharedFolder(tb testing.TB, variable, def string) string {
	tb.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		root, err := filepath.Abs(".")
		if err != nil {
			tb.Fatal(err)
		}
		for {
			if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
				break
			}
			if root == filepath.Dir(root) {
				tb.Fatal("no go.mod above the test")
			}
			root = filepath.Dir(root)
		}
		dir = filepath.Join(root, def)
	}
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("%s: no folder %s", variable, dir)
	}
	return dir
}

func bert(tb testing.TB) *Tokenizer {
	tb.Helper()
	t, err := Open(filepath.Join(sharedFolder(tb, "GLMKIT_DATA", "../shared/data"), "vocab", "bert-base-uncased"))
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestOracle(t *testing.T) {
	tok := bert(t)
	file, err := os.Open(filepath.Join(sharedFolder(t, "GLMKIT_ORACLE", "../shared/oracle"), "tokenizer.jsonl"))
	if err != nil {
		t.Skip(err)
	}
	defer file.Close()
	lines := 0
	for sc := bufio.NewScanner(file); sc.Scan(); lines++ {
		var want struct {
			Text string
			BERT []int32
		}
		if err := json.Unmarshal(sc.Bytes(), &want); err != nil {
			t.Fatal(err)
		}
		if got := tok.Encode(nil, want.Text); !slices.Equal(got, want.BERT) {
			t.Errorf("Encode(%q)\n got %v\nwant %v", want.Text, got, want.BERT)
		}
	}
	if lines == 0 {
		t.Fatal("no vectors")
	}
}

// TestEveryCharacter compares what becomes of every Unicode character, alone
// and among combining characters, with Hugging Face tokenizers 0.23.2
// (bench/wordpiece/unicode.mjs hash).
func TestEveryCharacter(t *testing.T) {
	const want = "69a02603e20f67d363903033ee96732a10d230fc1d056584a81b995c03241b2a"
	hash := sha256.New()
	var n normalizer
	var line []byte
	for r := rune(0); r <= 0x10ffff; r++ {
		if 0xd800 <= r && r < 0xe000 {
			continue
		}
		for _, text := range []string{"a" + string(r) + "b", "a\u302e" + string(r) + "\u1b44b"} {
			line = line[:0]
			for i := 0; i < len(text); {
				start, end := nextChunk(text, i)
				for word := range n.words(text[start:end]) {
					if len(line) > 0 {
						line = append(line, ' ')
					}
					line = append(line, word...)
				}
				i = end
			}
			hash.Write(append(line, '\n'))
		}
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("sha256 %s, want %s", got, want)
	}
}
