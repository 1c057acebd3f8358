package corpus

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// scanField finds one string field of a JSON object without decoding the rest,
// which is several times faster than encoding/json. It says no to anything it
// is not sure of: encoding/json then decides, and finds the words for an error.
func scanField(line []byte, field string) (text string, ok bool) {
	s := scanner{data: line}
	found := false
	s.space()
	if !s.take('{') {
		return "", false
	}
	for first := true; ; first = false {
		s.space()
		if first && s.take('}') {
			break
		}
		key, plain := s.str()
		if !plain { // an escaped key might be the field
			return "", false
		}
		s.space()
		if !s.take(':') {
			return "", false
		}
		s.space()
		if string(key) == field {
			raw, plain := s.str()
			if raw == nil {
				return "", false
			}
			found = true
			if plain {
				text = string(raw)
			} else if text, ok = unescape(raw); !ok {
				return "", false
			}
		} else if !s.skipValue(0) {
			return "", false
		}
		s.space()
		if s.take('}') {
			break
		}
		if !s.take(',') {
			return "", false
		}
	}
	s.space()
	return text, found && s.pos == len(s.data)
}

// scanner walks over one JSON text.
type scanner struct {
	data []byte
	pos  int
}

func (s *scanner) space() {
	for s.pos < len(s.data) {
		switch s.data[s.pos] {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return
		}
	}
}

func (s *scanner) take(c byte) bool {
	if s.pos < len(s.data) && s.data[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// str passes a string and returns what stands between its quotes, nil where
// there is no well-formed string; plain means that it has no escapes, which
// are not checked here.
func (s *scanner) str() (raw []byte, plain bool) {
	if !s.take('"') {
		return nil, false
	}
	start := s.pos
	plain = true
	for s.pos < len(s.data) {
		switch c := s.data[s.pos]; {
		case c == '"':
			raw = s.data[start:s.pos:s.pos]
			s.pos++
			return raw, plain
		case c == '\\':
			plain = false
			s.pos += 2
		case c < ' ':
			return nil, false
		default:
			s.pos++
		}
	}
	return nil, false
}

// maxNesting keeps hostile input from exhausting the stack; encoding/json
// takes over beyond it.
const maxNesting = 64

// skipValue passes one JSON value of any kind.
func (s *scanner) skipValue(depth int) bool {
	if s.pos >= len(s.data) || depth > maxNesting {
		return false
	}
	switch c := s.data[s.pos]; c {
	case '"':
		raw, plain := s.str()
		if raw != nil && !plain {
			_, ok := unescape(raw)
			return ok
		}
		return raw != nil
	case '{', '[':
		s.pos++
		end := c + 2 // '}' and ']' stand two behind their openers in ASCII
		s.space()
		if s.take(end) {
			return true
		}
		for {
			s.space()
			if c == '{' {
				if _, plain := s.str(); !plain {
					return false
				}
				s.space()
				if !s.take(':') {
					return false
				}
				s.space()
			}
			if !s.skipValue(depth + 1) {
				return false
			}
			s.space()
			if s.take(end) {
				return true
			}
			if !s.take(',') {
				return false
			}
		}
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	}
	return s.number()
}

func (s *scanner) word(w string) bool {
	if bytes.HasPrefix(s.data[s.pos:], []byte(w)) {
		s.pos += len(w)
		return true
	}
	return false
}

// number passes a number as RFC 8259 section 6 writes it.
func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.data) && '0' <= s.data[s.pos] && s.data[s.pos] <= '9' {
		s.pos++
	}
	return s.pos > start
}

// unescape resolves the escapes of a JSON string. Half a surrogate pair is
// U+FFFD, as in encoding/json.
func unescape(raw []byte) (string, bool) {
	out := make([]byte, 0, len(raw))
	for {
		i := bytes.IndexByte(raw, '\\')
		if i < 0 {
			return string(append(out, raw...)), true
		}
		out = append(out, raw[:i]...)
		raw = raw[i+1:]
		if len(raw) == 0 {
			return "", false
		}
		c := raw[0]
		raw = raw[1:]
		switch c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, ok := hex4(raw)
			if !ok {
				return "", false
			}
			raw = raw[4:]
			if utf16.IsSurrogate(r) {
				whole := rune(utf8.RuneError)
				if len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
					if low, ok := hex4(raw[2:]); ok {
						whole = utf16.DecodeRune(r, low)
					}
				}
				if whole != utf8.RuneError {
					raw = raw[6:]
				}
				r = whole
			}
			out = utf8.AppendRune(out, r)
		default:
			return "", false
		}
	}
}

// hex4 reads the four hexadecimal digits of a \u escape.
func hex4(raw []byte) (rune, bool) {
	if len(raw) < 4 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(raw[:4]), 16, 16)
	return rune(n), err == nil
}
