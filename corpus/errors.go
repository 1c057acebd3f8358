package corpus

import "github.com/glmkit/glmkit/corpus/dataerror"

// DataError is bad input: it names the file, the line where there is one, what
// is wrong and what to do about it. Commands answer it with exit code 3.
// Packages that corpus imports (wordpiece) make it as dataerror.Error.
type DataError = dataerror.Error
