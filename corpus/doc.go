// Package corpus turns documents into the windows that a model is pretrained
// on, and reads them back.
//
// Prepare reads text and JSONL, tokenises it, draws windows as GLM does
// (paper section 2; GLM repository, BlockDataset), draws what is to be masked
// in each (package spans), and writes the result as a folder:
//
//	manifest.json      what the folder was made from and what is in it (Manifest)
//	shard-00000.arrow  windows, one a row, in Arrow's IPC file format; any
//	                   Arrow library reads them
//	…
//	vocab.txt          the tokenizer's vocabulary
//
// Open reads such a folder window by window, in any order:
//
//	d, err := corpus.Open("pretrain")
//	…
//	w, err := d.Window(i) // tokens, and the spans to mask
//
// Nothing here depends on the clock, the number of workers or the place of the
// files. Memory is bounded whatever the size of the input: it grows with the
// number of workers, the longest document, and 8 bytes for every 256 documents.
package corpus
