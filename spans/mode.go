package spans

// String returns the mode's name as the command line and the data files spell it.
func (m Mode) String() string {
	switch m {
	case Token:
		return "token"
	case Sentence:
		return "sentence"
	case Document:
		return "document"
	}
	return "unknown"
}
