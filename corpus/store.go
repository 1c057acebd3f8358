package corpus

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
)

// A token store holds a tokenised corpus in three files of a folder:
//
//	tokens.bin   every document's ids and its end-of-document id, 2 or 4 bytes each
//	lengths.bin  every document's number of ids, the end included, 4 bytes each
//	tokens.json  how far the two are valid, and where in the input they end
//
// tokens.json is replaced after the other two are on disk, so what it says is
// always true; bytes behind that point are left from a killed run and cut off.

const (
	tokensFile  = "tokens.bin"
	lengthsFile = "lengths.bin"
	stateFile   = "tokens.json"
)

// idWidth is the bytes that one id takes in files, for a vocabulary of n ids.
func idWidth(n int) int {
	if n <= 1<<16 {
		return 2
	}
	return 4
}

// appendID appends an id in width bytes, little-endian.
func appendID(dst []byte, id int32, width int) []byte {
	if width == 2 {
		return binary.LittleEndian.AppendUint16(dst, uint16(id))
	}
	return binary.LittleEndian.AppendUint32(dst, uint32(id))
}

// appendIDs appends the ids that raw holds in width bytes each.
func appendIDs(dst []int32, raw []byte, width int) []int32 {
	if width == 2 {
		for ; len(raw) >= 2; raw = raw[2:] {
			dst = append(dst, int32(binary.LittleEndian.Uint16(raw)))
		}
		return dst
	}
	for ; len(raw) >= 4; raw = raw[4:] {
		dst = append(dst, int32(binary.LittleEndian.Uint32(raw)))
	}
	return dst
}

// storeState is what tokens.json says.
type storeState struct {
	Width     int   `json:"width"`     // bytes of an id
	Source    int   `json:"source"`    // index of the input file to go on with; their number when all are done
	Offset    int64 `json:"offset"`    // decompressed bytes of it that are in the store
	Line      int   `json:"line"`      // the line that ends there
	Stored    int64 `json:"stored"`    // bytes of all input files read up to there
	Documents int64 `json:"documents"` // in the store
	Tokens    int64 `json:"tokens"`    // in the store, document ends included
	Replaced  int64 `json:"replaced"`  // invalid UTF-8 bytes of the input
	// Sources counts what each input file has brought so far.
	Sources []sourceCount `json:"sources"`
}

type sourceCount struct {
	Documents int64 `json:"documents"`
	Tokens    int64 `json:"tokens"`
}

// storeWriter appends documents to a token store.
type storeWriter struct {
	dir             string
	tokens, lengths *os.File
	tokensBuf       *bufio.Writer
	lengthsBuf      *bufio.Writer
	state           storeState
	committed       int64 // bytes of tokens.bin at the last commit
	err             error
}

// openStore opens the store in dir to append to, or makes it.
func openStore(dir string, width, sources int) (*storeWriter, error) {
	w := &storeWriter{dir: dir, state: storeState{Width: width, Sources: make([]sourceCount, sources)}}
	err := readJSON(filepath.Join(dir, stateFile), &w.state)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if w.state.Width != width || len(w.state.Sources) != sources {
		return nil, fmt.Errorf("%s was made for another vocabulary or other input files", filepath.Join(dir, stateFile))
	}
	if w.tokens, err = openAppend(filepath.Join(dir, tokensFile), w.state.Tokens*int64(width)); err != nil {
		return nil, err
	}
	if w.lengths, err = openAppend(filepath.Join(dir, lengthsFile), w.state.Documents*4); err != nil {
		w.tokens.Close()
		return nil, err
	}
	w.tokensBuf = bufio.NewWriterSize(w.tokens, 1<<20)
	w.lengthsBuf = bufio.NewWriterSize(w.lengths, 1<<16)
	w.committed = w.state.Tokens * int64(width)
	return w, nil
}

// openAppend opens a file to write behind its first size bytes.
func openAppend(path string, size int64) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Size() < size {
		err = fmt.Errorf("%s has %d bytes, the run before wrote %d: delete its folder and start again", path, info.Size(), size)
	}
	if err == nil {
		err = f.Truncate(size)
	}
	if err == nil {
		_, err = f.Seek(size, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// add appends documents of one input file: their ids as stored, the number of
// ids of each.
func (w *storeWriter) add(source int, ids []byte, lengths []uint32) error {
	if _, err := w.tokensBuf.Write(ids); err != nil {
		return err
	}
	var four [4]byte
	for _, n := range lengths {
		binary.LittleEndian.PutUint32(four[:], n)
		if _, err := w.lengthsBuf.Write(four[:]); err != nil {
			return err
		}
	}
	tokens := int64(len(ids) / w.state.Width)
	w.state.Documents += int64(len(lengths))
	w.state.Tokens += tokens
	w.state.Sources[source].Documents += int64(len(lengths))
	w.state.Sources[source].Tokens += tokens
	return nil
}

// pending is the bytes of ids added since the last commit.
func (w *storeWriter) pending() int64 { return w.state.Tokens*int64(w.state.Width) - w.committed }

// commit makes everything added so far outlive a crash.
func (w *storeWriter) commit() error {
	for _, buf := range []*bufio.Writer{w.tokensBuf, w.lengthsBuf} {
		if err := buf.Flush(); err != nil {
			return err
		}
	}
	for _, f := range []*os.File{w.tokens, w.lengths} {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	// Without a sync of the folder a power cut may bring the state before this
	// one back, which is as true: the files have only grown since.
	if err := replaceJSON(filepath.Join(w.dir, stateFile), w.dir, &w.state); err != nil {
		return err
	}
	w.committed = w.state.Tokens * int64(w.state.Width)
	return nil
}

// Close closes the files without a commit.
func (w *storeWriter) Close() error {
	return errors.Join(w.tokens.Close(), w.lengths.Close())
}

// markEvery is the number of documents between two marks of a tokenStore: only
// marks live in memory, 8 bytes for each 256 documents.
const markEvery = 256

// tokenStore reads a finished token store; a cursor of each goroutine's own
// goes with it.
type tokenStore struct {
	tokens, lengths *os.File
	width           int
	documents       int64
	total           int64   // tokens
	marks           []int64 // marks[k] is the first token of document k*markEvery
}

// openTokens opens the store in dir, which state describes, to read.
func openTokens(dir string, state storeState) (*tokenStore, error) {
	s := &tokenStore{width: state.Width, documents: state.Documents, total: state.Tokens}
	var err error
	if s.tokens, err = os.Open(filepath.Join(dir, tokensFile)); err != nil {
		return nil, err
	}
	if s.lengths, err = os.Open(filepath.Join(dir, lengthsFile)); err != nil {
		s.tokens.Close()
		return nil, err
	}
	lengths := bufio.NewReaderSize(s.lengths, 1<<16)
	var sum int64
	var four [4]byte
	for doc := range s.documents {
		if doc%markEvery == 0 {
			s.marks = append(s.marks, sum)
		}
		if _, err := io.ReadFull(lengths, four[:]); err != nil {
			s.Close()
			return nil, fmt.Errorf("reading %s: %w", s.lengths.Name(), err)
		}
		sum += int64(binary.LittleEndian.Uint32(four[:]))
	}
	if sum != s.total {
		s.Close()
		return nil, fmt.Errorf("%s counts %d tokens, not %d: delete its folder and start again", s.lengths.Name(), sum, s.total)
	}
	return s, nil
}

// Close closes the files.
func (s *tokenStore) Close() error { return errors.Join(s.tokens.Close(), s.lengths.Close()) }

// find returns the document that holds a token: its first token and its
// length, the document's end included.
func (s *tokenStore) find(token int64) (start, length int64, err error) {
	k := sort.Search(len(s.marks), func(i int) bool { return s.marks[i] > token }) - 1
	first := int64(k) * markEvery
	var buf [4 * markEvery]byte
	raw := buf[:4*min(markEvery, s.documents-first)]
	if _, err := s.lengths.ReadAt(raw, 4*first); err != nil {
		return 0, 0, fmt.Errorf("reading %s: %w", s.lengths.Name(), err)
	}
	start = s.marks[k]
	for ; len(raw) > 0; raw = raw[4:] {
		length = int64(binary.LittleEndian.Uint32(raw))
		if token < start+length {
			return start, length, nil
		}
		start += length
	}
	return 0, 0, fmt.Errorf("%s has changed while it was read", s.lengths.Name())
}

// storeCursor is the documentSource of one goroutine.
type storeCursor struct {
	*tokenStore
	raw []byte
}

func (c *storeCursor) size() int64 { return c.total }

func (c *storeCursor) read(dst []int32, at, n int64) ([]int32, error) {
	size := int(n) * c.width
	if cap(c.raw) < size {
		c.raw = make([]byte, size)
	}
	raw := c.raw[:size]
	if _, err := c.tokens.ReadAt(raw, at*int64(c.width)); err != nil {
		return dst, fmt.Errorf("reading %s: %w", c.tokens.Name(), err)
	}
	return appendIDs(dst, raw, c.width), nil
}
