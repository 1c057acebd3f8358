// Writing token by token, over what was computed before.
#ifndef GLMKIT_DECODE_H
#define GLMKIT_DECODE_H
#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

// One new token of a row: which text it belongs to, how many tokens that has,
// the slot that it is put into, and how many written tokens there are before it.
// A token of the text itself has slot -1, and length is its place.
typedef struct {
  int64_t text, sep, slot, length;
} gk_cached_row;

// A lookup is GK_LOOKUP tensors.
enum { GK_LOOKUP = 4 };
char *gk_cached_lookup(gk_tensor *out, gk_tensor context, gk_tensor written, const gk_cached_row *rows, const int32_t *places,
                       int64_t width, int64_t n);
char *gk_cached_attention(gk_tensor *out, gk_tensor qkv, gk_tensor context, gk_tensor written, const gk_tensor *lookup, int64_t heads);

typedef struct gk_writer gk_writer;
typedef struct gk_pages gk_pages;

char *gk_writer_new(gk_writer **out, const gk_tensor *weights, int64_t layers, int64_t heads, int bfloat16);
void gk_writer_free(gk_writer *w);
char *gk_pages_new(gk_pages **out, gk_writer *w, int64_t texts, int64_t slots);
void gk_pages_free(gk_pages *p);
// logits may be NULL.
char *gk_pass(gk_pages *p, const int64_t *ids, const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n, gk_tensor logits);
// The best instruction set that writing may use, for tests: 0 plain, 1 AVX2, 2 AVX-512,
// 3 with its products of bfloat16. Returns what there is.
int gk_instructions(int at_most);
char *gk_likeliest(gk_tensor logits, int64_t n, int64_t vocab, int64_t size, int64_t end, const int32_t *banned,
                   const int64_t *banned_to, int64_t k, int64_t *ids, float *logp, int64_t *found);

#ifdef __cplusplus
}
#endif
#endif
