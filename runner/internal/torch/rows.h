// The inner loops of loops.h for each instruction set, and which of them this
// processor has.
#ifndef GLMKIT_ROWS_H
#define GLMKIT_ROWS_H
#include <algorithm>
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

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
  void (*exponentials)(T *, const T *, int64_t, int64_t, float, Drop, uint64_t, float *);
  void (*softmax_back)(T *, T *, int64_t, int64_t, float, Drop, uint64_t, const float *, float);
  float (*product)(const T *, const T *, int64_t);
  float (*log_sum)(const T *, int64_t);
  void (*log_sum_back)(T *, const T *, int64_t, float, float);
  void (*accumulate)(float *, const T *, int64_t);
  void (*scaled)(T *, const T *, int64_t, float);
};

// Two bfloat16 numbers that follow each other along the sum of a product; the first is
// the lower half.
typedef uint32_t Pair;

// What products of single tokens read, a unit, holds so many numbers.
template <class U> struct Numbers;
template <> struct Numbers<float> { static constexpr int count = 1; };
template <> struct Numbers<Pair> { static constexpr int count = 2; };

constexpr int64_t kGroup = 64; // outputs whose weights lie side by side

// The loops of single tokens. What comes of a row depends on no other row, to the
// last bit.
template <class U> struct Few {
  void (*units)(U *, const float *, int64_t, int64_t);
  void (*products)(float *, int64_t, const U *, int64_t, int64_t, const U *, const float *, int64_t, bool);
  void (*attend)(float *, const U *, const U *const *, int64_t, int64_t, int64_t, int64_t, float, float *);
  int64_t (*best)(const float *, int64_t, int64_t, int64_t *, float *);
};

// Products of such pairs and what attention does between them; the functions of tiles.h.
struct Tiles {
  // to[r * stride + c] = sum over i < n of a[r * row + i * next] * b[i * wide + c] for
  // columns in sixteens; added to what is there if add.
  void (*multiply)(float *to, int64_t stride, const Pair *a, int64_t row, int64_t next, int64_t rows, const Pair *b, int64_t wide, int64_t columns,
                   int64_t n, bool add);
  // Rows of x as columns of pairs: to[c * wide + r] is numbers 2c and 2c + 1 of row r.
  // Behind the rows it is 0.
  void (*pairs_along)(Pair *to, int64_t wide, const bf16 *x, int64_t stride, int64_t rows, int64_t columns);
  // Each two rows as a row of pairs: to[r * wide + c] is number c of rows 2r and 2r + 1.
  // Behind columns, and behind rows up to a multiple of sixteen, it is 0.
  void (*pairs_across)(Pair *to, int64_t wide, const bf16 *x, int64_t stride, int64_t rows, int64_t columns);
  // The loops of Rows<bf16>, from float32; softmax_back of two rows, or one, whose
  // results go by pairs of rows (the softmax and the gradient) and along them (the
  // gradient).
  void (*exponentials)(bf16 *, const float *, int64_t, int64_t, float, Drop, uint64_t, float *);
  void (*softmax_back)(Pair *, Pair *, bf16 *, const float *, const float *, int64_t, int64_t, int64_t, const int64_t *, float, Drop, const uint64_t *,
                       const float *, const float *);
  void (*scaled)(bf16 *, const float *, int64_t, float);
  float (*product)(const bf16 *, const bf16 *, int64_t);
};

#ifdef __clang__
#define SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define SHUFFLE(a, b, ...) __builtin_shuffle(a, b, Ints{__VA_ARGS__})
#endif

// SUMS is how many sums of sixteen lanes an instruction set's registers hold, TILE
// how many vectors of outputs beside each other for four rows.
#define SUMS 4
#define TILE 1
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
#undef TILE
#define TILE 4
#define AVX512_INSTRUCTIONS
namespace avx512 {
#include "loops.h"
}
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,fma,prefer-vector-width=512")
#define BF16_INSTRUCTIONS
namespace avx512bf16 {
#include "loops.h"
#include "tiles.h"
}
#undef BF16_INSTRUCTIONS
#undef AVX512_INSTRUCTIONS
#pragma GCC pop_options
#endif

// Instruction sets, the later the better.
enum Instructions { kPlain, kAVX2, kAVX512, kAVX512BF16 };

// The best that this processor has, but none above at_most.
inline Instructions at_most = kAVX512BF16;
inline Instructions instructions() {
#ifdef HAVE_TARGETS
  static const Instructions have = [] {
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
      return kPlain;
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
      return kAVX2;
    return __builtin_cpu_supports("avx512bf16") ? kAVX512BF16 : kAVX512;
  }();
  return have < at_most ? have : at_most;
#else
  return kPlain;
#endif
}

#ifdef HAVE_TARGETS
#define FOR_INSTRUCTIONS(i, loops) \
  ((i) == kAVX512BF16 ? &avx512bf16::loops : (i) == kAVX512 ? &avx512::loops : (i) == kAVX2 ? &avx2::loops : &plain::loops)
#else
#define FOR_INSTRUCTIONS(i, loops) (&plain::loops)
#endif

template <class T> const Rows<T> &row() {
  static const Rows<T> &best = *FOR_INSTRUCTIONS(instructions(), rows<T>);
  return best;
}

template <class U> const Few<U> &few() { return *FOR_INSTRUCTIONS(instructions(), few_rows<U>); }

// The products of pairs, or null where this processor has none.
inline const Tiles *tiles() {
#ifdef HAVE_TARGETS
  static const Tiles *best = instructions() == kAVX512BF16 ? &avx512bf16::all_tiles : nullptr;
  return best;
#else
  return nullptr;
#endif
}

} // namespace
#endif
