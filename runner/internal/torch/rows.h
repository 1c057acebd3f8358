// The inner loops of loops.h for each instruction set, and which of them this
// processor has.
#ifndef GLMKIT_ROWS_H
#define GLMKIT_ROWS_H
#include <cstdint>

#pragma GCC diagnostic ignored "-Wpsabi"
#define INLINE static inline __attribute__((always_inline))

namespace {

typedef uint16_t bf16;

// Drop says what dropout leaves: nothing is dropped where below is 0.
struct Drop {
  uint64_t seed;
  uint32_t below; // elements whose hash is below it are dropped
  float scale;    // of the others
};

// The loops of loops.h.
template <class T> struct Rows {
  void (*drop)(T *, const T *, int64_t, Drop, uint64_t);
  void (*add_dropped)(float *, const float *, const T *, int64_t, Drop, uint64_t);
  void (*add_dropped_back)(T *, const float *, int64_t, Drop, uint64_t);
  void (*norm)(T *, const float *, const float *, const float *, int64_t, float, float *);
  void (*norm_back)(float *, const T *, const float *, const float *, int64_t, const float *, float *, float *);
  void (*gelu)(T *, const T *, int64_t);
  void (*gelu_back)(T *, const T *, const T *, int64_t);
  void (*exponentials)(T *, int64_t, int64_t, float, Drop, uint64_t, float *);
  void (*softmax_back)(T *, T *, int64_t, int64_t, float, Drop, uint64_t, const float *, float);
  float (*product)(const T *, const T *, int64_t);
  float (*log_sum)(const T *, int64_t);
  void (*log_sum_back)(T *, const T *, int64_t, float, float);
  void (*accumulate)(float *, const T *, int64_t);
  void (*scaled)(T *, const T *, int64_t, float);
};

// The loops of single tokens, float32 alone.
struct Few {
  void (*products)(float *, int64_t, const float *, int64_t, const float *, const float *, int64_t, int64_t, bool);
  void (*attend)(float *, const float *, const float *const *, int64_t, int64_t, int64_t, int64_t, float, float *);
  int64_t (*best)(const float *, int64_t, int64_t, int64_t *, float *);
};

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, Ints{__VA_ARGS__})
#endif

// SUMS is how many sums of sixteen lanes an instruction set's registers hold.
#define SUMS 4
namespace plain {
#include "loops.h"
}

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define HAVE_TARGETS 1
#pragma GCC push_options
#pragma GCC target("avx2,fma")
namespace avx2 {
#include "loops.h"
}
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
#undef SUMS
#define SUMS 16
namespace avx512 {
#include "loops.h"
}
#pragma GCC pop_options
#endif

// The loops for this processor.
#ifdef HAVE_TARGETS
inline bool has_avx512() { return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"); }
inline bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#define FOR_THIS_PROCESSOR(loops) (has_avx512() ? avx512::loops : has_avx2() ? avx2::loops : plain::loops)
#else
#define FOR_THIS_PROCESSOR(loops) (plain::loops)
#endif

template <class T> const Rows<T> &row() {
  static const Rows<T> &best = FOR_THIS_PROCESSOR(rows<T>);
  return best;
}

inline const Few &few() {
  static const Few &best = FOR_THIS_PROCESSOR(few_rows);
  return best;
}

} // namespace
#endif
