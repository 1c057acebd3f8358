package corpus

import "github.com/glmkit/glmkit/corpus/internal/dataerror"

// DataError is bad input: it names the file (Path), the line from 1 where
// there is one (Line), what is wrong (Err) and what to do about it (Hint).
// Commands answer it with exit code 3.
type DataError = dataerror.Error
