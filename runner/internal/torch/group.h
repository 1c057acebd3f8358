// Processes that train together, on libtorch's c10d. Conventions are shim.h's.
#ifndef GLMKIT_GROUP_H
#define GLMKIT_GROUP_H
#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

int gk_has_gloo(void);
int gk_has_nccl(void);

typedef void *gk_store;
char *gk_store_open(gk_store *out, const char *host, int port, int serve, double timeout);
void gk_store_close(gk_store s);
char *gk_store_set(gk_store s, const char *key, const char *value);
// *value is NULL where there is no such key, else freed by the caller.
char *gk_store_get(gk_store s, const char *key, char **value);

typedef void *gk_group;
char *gk_group_open(gk_group *out, gk_store s, const char *host, int rank, int size,
                    int device, double timeout);
void gk_group_close(gk_group g);
char *gk_group_sum(gk_group g, double *values, size_t n);
char *gk_group_sum_tensor(gk_group g, gk_tensor x);

typedef void *gk_buckets;
char *gk_buckets_open(gk_buckets *out, gk_group g, gk_tensor *params, int n, int64_t elements);
void gk_buckets_close(gk_buckets b);
void gk_buckets_owned(gk_buckets b, int param, int64_t *from, int64_t *to);
void gk_buckets_arm(gk_buckets b);
char *gk_buckets_reduce(gk_buckets b);
char *gk_buckets_share(gk_buckets b);
char *gk_buckets_spread(gk_buckets b);

char *gk_slice(gk_tensor *out, gk_tensor x, int64_t from, int64_t to);
char *gk_slice_grad(gk_tensor slice, gk_tensor x, int64_t from, int64_t to);

#ifdef __cplusplus
}
#endif
#endif
