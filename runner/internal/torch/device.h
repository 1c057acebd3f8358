// Input on its way to a device, what activation checkpointing asks of libtorch,
// and optimizer steps that a device takes by itself. Conventions are shim.h's.
#ifndef GLMKIT_DEVICE_H
#define GLMKIT_DEVICE_H
#include "shim.h"

#ifdef __cplusplus
extern "C" {
#endif

char *gk_upload(gk_tensor *out, const void *data, const int64_t *dims, int n, int dtype, int device);

char *gk_generator_state(gk_tensor *out, int device);
char *gk_set_generator_state(gk_tensor state, int device);
char *gk_backward_from(gk_tensor *ys, gk_tensor *gradients, int n);

// What a book holds, float32; and what a step tells (all of the book comes last).
enum { GK_UPDATES, GK_SCALE, GK_CLEAN, GK_BOOK };
enum { GK_LOSS, GK_NORM, GK_FINITE, GK_SCALE_BEFORE, GK_BOOK_AFTER, GK_FIGURES = GK_BOOK_AFTER + GK_BOOK };

typedef void *gk_reading;
char *gk_device_step(gk_reading *out, gk_tensor loss, gk_tensor *params, gk_tensor *m, gk_tensor *v,
                     const double *decay, int n, gk_tensor book, double lr, double beta1,
                     double beta2, double eps, double clip, int64_t window);
// Waits for a reading, copies it where to is not NULL, and frees it.
char *gk_read(gk_reading r, float *to, size_t n);

#ifdef __cplusplus
}
#endif
#endif
