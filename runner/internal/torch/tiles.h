// Products of matrices of bfloat16 numbers, and what attention does to their results
// while these are in the cache. rows.h includes this file, behind loops.h, for the
// instruction set that multiplies such numbers in pairs.

INLINE void store(Pair *p, const Words &w) { __builtin_memcpy(p, &w, sizeof w); }
INLINE Pair pair(const Pair *p) {
  Pair x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}

// Numbers above each other as pairs.
INLINE Words paired(const Halves &upper, const Halves &lower) {
  return __builtin_convertvector(upper, Words) | __builtin_convertvector(lower, Words) << 16;
}

// R rows times 16 C columns: to[r][c] = sum over n pairs of a[r][i] * b[i][c], added to
// what is there if add.
template <int R, int C>
void tile(float *to, int64_t stride, const Pair *a, int64_t row, int64_t next, const Pair *b, int64_t wide, int64_t n, bool add) {
  Floats acc[R][C];
#pragma GCC unroll 6
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int c = 0; c < C; c++)
      acc[r][c] = add ? load(to + r * stride + c * kLanes) : all(0);
  for (int64_t i = 0; i < n; i++) {
    Words v[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; c++)
      v[c] = load(b + i * wide + c * kLanes);
#pragma GCC unroll 6
    for (int r = 0; r < R; r++) {
      const Words u = Words{} + pair(a + r * row + i * next);
#pragma GCC unroll 4
      for (int c = 0; c < C; c++)
        acc[r][c] = (Floats)_mm512_dpbf16_ps((__m512)acc[r][c], (__m512bh)u, (__m512bh)v[c]);
    }
  }
#pragma GCC unroll 6
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int c = 0; c < C; c++)
      store(to + r * stride + c * kLanes, acc[r][c]);
}

template <int C>
void tiles_of_rows(float *to, int64_t stride, const Pair *a, int64_t row, int64_t next, int64_t rows, const Pair *b, int64_t wide, int64_t n, bool add) {
  int64_t r = 0;
  for (; r + 6 <= rows; r += 6)
    tile<6, C>(to + r * stride, stride, a + r * row, row, next, b, wide, n, add);
  for (; r + 2 <= rows; r += 2)
    tile<2, C>(to + r * stride, stride, a + r * row, row, next, b, wide, n, add);
  if (r < rows)
    tile<1, C>(to + r * stride, stride, a + r * row, row, next, b, wide, n, add);
}

inline void multiply(float *to, int64_t stride, const Pair *a, int64_t row, int64_t next, int64_t rows, const Pair *b, int64_t wide, int64_t columns,
                     int64_t n, bool add) {
  int64_t c = 0;
  for (; c + 4 * kLanes <= columns; c += 4 * kLanes)
    tiles_of_rows<4>(to + c, stride, a, row, next, rows, b + c, wide, n, add);
  for (; c < columns; c += kLanes)
    tiles_of_rows<1>(to + c, stride, a, row, next, rows, b + c, wide, n, add);
}

inline void pairs_along(Pair *to, int64_t wide, const bf16 *x, int64_t stride, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = 0; c < columns / 2; c++)
      to[c * wide + r] = pair((const Pair *)(x + r * stride) + c);
  for (int64_t c = 0; c < columns / 2; c++)
    for (int64_t r = rows; r < wide; r++)
      to[c * wide + r] = 0;
}

INLINE Halves some_halves(const bf16 *x, int64_t n) {
  Halves h = {};
  if (n >= kLanes)
    __builtin_memcpy(&h, x, sizeof h);
  else if (n > 0)
    __builtin_memcpy(&h, x, n * sizeof(bf16));
  return h;
}

inline void pairs_across(Pair *to, int64_t wide, const bf16 *x, int64_t stride, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < (rows + 15) / 16 * 16; r += 2)
    for (int64_t c = 0; c < wide; c += kLanes)
      store(to + r / 2 * wide + c, paired(some_halves(x + r * stride + c, r < rows ? columns - c : 0), some_halves(x + (r + 1) * stride + c, r + 1 < rows ? columns - c : 0)));
}

// softmax_back of R rows that lie stride behind each other.
template <int R>
void softmax_back_pair(Pair *softmax, Pair *across, bf16 *along, const float *x, const float *dp, int64_t stride, int64_t n, const int64_t *seen,
                       float scale, Drop d, const uint64_t *key, const float *moments, const float *dot) {
  float inverse[R];
  for (int r = 0; r < R; r++)
    inverse[r] = 1 / moments[2 * r + 1];
  for (int64_t i = 0; i < n; i += kLanes) {
    Halves p[2] = {}, ds[2] = {};
#pragma GCC unroll 2
    for (int r = 0; r < R; r++) {
      Floats q = all(0), g = all(0);
      if (i < seen[r])
        softmax_back_at(q, g, x + r * stride, dp + r * stride, i, seen[r], scale, d, key[r], moments[2 * r], inverse[r], dot[r]);
      p[r] = rounded(q);
      ds[r] = rounded(g);
      __builtin_memcpy(along + r * stride + i, &ds[r], sizeof ds[r]);
    }
    store(softmax + i, paired(p[0], p[1]));
    store(across + i, paired(ds[0], ds[1]));
  }
}

inline void softmax_back_pairs(Pair *softmax, Pair *across, bf16 *along, const float *x, const float *dp, int64_t stride, int64_t n, int64_t rows,
                               const int64_t *seen, float scale, Drop d, const uint64_t *key, const float *moments, const float *dot) {
  const auto back = rows == 2 ? softmax_back_pair<2> : softmax_back_pair<1>;
  back(softmax, across, along, x, dp, stride, n, seen, scale, d, key, moments, dot);
}

constexpr Tiles all_tiles = {multiply, pairs_along, pairs_across, exponentials<bf16, float>, softmax_back_pairs, scaled<bf16, float>, product<bf16>};
