// What libtch lacks, on libtorch's C++ API. Every function that can fail
// returns NULL, or a message that the caller frees.
#ifndef GLMKIT_SHIM_H
#define GLMKIT_SHIM_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef void *gk_tensor;

int gk_version_major(void);
int gk_version_minor(void);
const char *gk_version(void);
int gk_has_fused_attention(void);

void gk_set_threads(int n);
int gk_threads(void);
void gk_set_grad(int enabled);
char *gk_manual_seed(uint64_t seed);

// The operations of kernels.cpp.
char *gk_add_dropped(gk_tensor *out, gk_tensor base, gk_tensor x, double p);
char *gk_norm(gk_tensor *out, gk_tensor x, gk_tensor w, gk_tensor b, double eps, int dtype);
char *gk_gelu(gk_tensor *out, gk_tensor x, int tanh_approximation);
char *gk_cross_entropy(gk_tensor *out, gk_tensor logits, gk_tensor targets, double smoothing);
enum { GK_OWN_ATTENTION, GK_LIBTORCH_ATTENTION, GK_PLAIN_ATTENTION };
char *gk_attention(gk_tensor *out, gk_tensor qkv, gk_tensor sep, gk_tensor used,
                   gk_tensor starts, gk_tensor wanted, int64_t heads, double dropout, int form);
int gk_has_bfloat16(void);

char *gk_to(gk_tensor *out, gk_tensor x, int device, int dtype);
char *gk_cast(gk_tensor *out, gk_tensor x, int dtype);
char *gk_requires_grad(gk_tensor x);
char *gk_data_float(gk_tensor x, float *to, size_t n);
char *gk_data_int64(gk_tensor x, int64_t *to, size_t n);
char *gk_copy_float(gk_tensor x, const float *from, size_t n);
char *gk_numel(gk_tensor x, int64_t *out);

char *gk_zero_grad(gk_tensor *params, int n);
char *gk_drop_grad(gk_tensor *params, int n);
char *gk_grad_norm(gk_tensor *params, int n, double *out);
char *gk_adamw(gk_tensor *params, gk_tensor *m, gk_tensor *v, const double *decay,
               int n, double lr, double beta1, double beta2, double eps,
               int64_t step, double grad_scale);

char *gk_shape(gk_tensor x, int64_t *dims, int max, int *n);

#ifdef __cplusplus
}
#endif
#endif
