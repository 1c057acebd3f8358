//go:build cgo

package torch

// #include "shim.h"
import "C"

import (
	"errors"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// ReadPickle returns the tensors of a file that torch.save wrote, by dotted
// name ("module.word_embeddings.weight"). libtorch's own reader is used: it
// builds tensors, lists and dictionaries, and refuses everything else, so no
// code of the file runs.
func (s *Scope) ReadPickle(data []byte) map[string]Tensor {
	if s.err != nil {
		return nil
	}
	if len(data) == 0 {
		s.fail("reading weights", errors.New("the file is empty"))
		return nil
	}
	var p *C.gk_pickle
	if err := shimError(C.gk_pickle_open(&p, (*C.char)(unsafe.Pointer(&data[0])), C.size_t(len(data)))); err != nil {
		s.fail("reading weights", err)
		return nil
	}
	defer C.gk_pickle_free(p)
	out := make(map[string]Tensor)
	for i := range int(C.gk_pickle_len(p)) {
		out[C.GoString(C.gk_pickle_name(p, C.int(i)))] = s.own(lib.Ctensor(unsafe.Pointer(C.gk_pickle_tensor(p, C.int(i)))))
	}
	return out
}
