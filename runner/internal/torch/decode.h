// Writing token by token, over what was computed before.
#ifndef GLMKIT_DECODE_H
#define GLMKIT_DECODE_H
#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

// One new token of a row: which text it belongs to, how many tokens that has,
// the slot that it is put into, and how many written tokens there are before it.
typedef struct {
  int64_t text, sep, slot, length;
} gk_cached_row;

char *gk_cached_attention(gk_tensor *out, gk_tensor qkv, gk_tensor context, gk_tensor written,
                          const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t heads);
char *gk_write(gk_tensor work, const gk_tensor *weights, int64_t layers, int64_t heads, const gk_tensor *context,
               const gk_tensor *written, const int64_t *ids, const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n);
char *gk_likeliest(gk_tensor logits, int64_t n, int64_t vocab, int64_t size, int64_t end, const int32_t *banned,
                   const int64_t *banned_to, int64_t k, int64_t *ids, float *logp, int64_t *found);

#ifdef __cplusplus
}
#endif
#endif
