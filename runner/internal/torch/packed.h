// Attention without a mask and without padding. Conventions are shim.h's.
#ifndef GLMKIT_PACKED_H
#define GLMKIT_PACKED_H
#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

// Says why there is no gk_packed_attention for a device, a type, heads of a size
// and a dropout; NULL: there is.
char *gk_packed_problem(int device, int dtype, int64_t head_size, double dropout);
// sums_a and sums_b, int32 on the device, are the sums of a and b from 0 on.
char *gk_packed_attention(gk_tensor *out, gk_tensor qkv, gk_tensor sums_a, gk_tensor sums_b,
                          const int64_t *a, const int64_t *b, int64_t sequences,
                          int64_t heads, double dropout);

#ifdef __cplusplus
}
#endif
#endif
