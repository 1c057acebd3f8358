// Attention over what was computed before, for writing token by token.
#ifndef GLMKIT_CACHE_H
#define GLMKIT_CACHE_H
#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

// One new token of a row: which text it belongs to, how many tokens that has,
// where the row's own tokens are, and how many there are before this one.
typedef struct {
  int64_t text, sep, slot, length;
} gk_cached_row;

char *gk_cached_attention(gk_tensor *out, gk_tensor qkv, gk_tensor context, gk_tensor written,
                          const gk_cached_row *rows, int64_t heads);
char *gk_copy_slots(gk_tensor written, const int64_t *to, const int64_t *from, int64_t n, int64_t length);

#ifdef __cplusplus
}
#endif
#endif
