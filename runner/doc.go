// Package runner is everything that touches libtorch: GLM and BERT, the
// trainer for both, evaluation and checkpoints.
package runner
