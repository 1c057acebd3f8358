// The inner loops of kernels.cpp and decode.cpp, over rows of tensors. rows.h
// includes this file once for each instruction set, in a namespace of its own, so it
// has no guard. It is a .h because go build looks for changes in no file that it does
// not know the kind of. Nothing of a library is used here: what a compiler makes of it
// for one instruction set could end up in code for all.

// Sixteen numbers side by side; the compiler makes of them what there is.
constexpr int64_t kLanes = 16;
typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint16_t Halves __attribute__((vector_size(32)));

INLINE Floats all(float x) { return Floats{} + x; }

INLINE Floats load(const float *p) {
  Floats v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
INLINE void store(float *p, const Floats &v) { __builtin_memcpy(p, &v, sizeof v); }

INLINE Floats load(const bf16 *p) {
  Halves h;
  __builtin_memcpy(&h, p, sizeof h);
  return (Floats)(__builtin_convertvector(h, Words) << 16);
}
// Rounds to the nearest, ties to even.
INLINE Halves rounded(const Floats &v) {
#ifdef BF16_INSTRUCTIONS // they take numbers below 2^-126 as 0
  return (Halves)_mm512_cvtneps_pbh((__m512)v);
#else
  // A NaN stays one: rounding it might carry into what is left of it.
  const Words w = (Words)v;
  const Words nan = (Words)((w & 0x7fffffffu) > 0x7f800000u);
  const Words near = (w + 0x7fffu + ((w >> 16) & 1u)) >> 16;
  return __builtin_convertvector((nan & ((w >> 16) | 0x40u)) | (~nan & near), Halves);
#endif
}
INLINE void store(bf16 *p, const Floats &v) {
  const Halves h = rounded(v);
  __builtin_memcpy(p, &h, sizeof h);
}

// The first n of sixteen, and rest for the others.
template <class T> INLINE Floats load(const T *p, int64_t n, float rest = 0) {
  if (n >= kLanes)
    return load(p);
  T some[kLanes] = {};
  for (int64_t i = 0; i < n; i++)
    some[i] = p[i];
  Floats v = load(some);
  for (int64_t i = n > 0 ? n : 0; i < kLanes; i++)
    v[i] = rest;
  return v;
}
template <class T> INLINE void store(T *p, int64_t n, const Floats &v) {
  if (n >= kLanes)
    return store(p, v);
  T some[kLanes];
  store(some, v);
  for (int64_t i = 0; i < n; i++)
    p[i] = some[i];
}

INLINE float sum(const Floats &v) {
  float s = 0;
  for (int64_t i = 0; i < kLanes; i++)
    s += v[i];
  return s;
}
INLINE float largest(const Floats &v) {
  float m = v[0];
  for (int64_t i = 1; i < kLanes; i++)
    m = v[i] > m ? v[i] : m;
  return m;
}

// e to the power of x; 0 far below.
#ifdef AVX512_INSTRUCTIONS
// 2^y is 2^floor(y) times a polynomial of what is left of y: that of degree 5 which is
// exact at 0 and 1 and has the least greatest error between them, 1e-7.
INLINE Floats exponential(const Floats &x) {
  const __m512 y = (__m512)(x * 1.44269504f);
  const Floats f = (Floats)_mm512_reduce_ps(y, 1); // y - floor(y)
  Floats p = all(1.87931785e-3f);
  p = p * f + 8.9909967e-3f;
  p = p * f + 5.5818675e-2f;
  p = p * f + 2.40159272e-1f;
  p = p * f + 6.93151739e-1f;
  p = p * f + 1.0f;
  return (Floats)_mm512_scalef_ps((__m512)p, y); // it takes the floor of y
}
#else
// After Cephes' expf; 0 below -87.
INLINE Floats exponential(const Floats &power) {
  const Ints tiny = power < -87.0f;
  const Floats x = tiny ? all(0) : power > 88.0f ? all(88.0f) : power;
  const float round = 12582912.0f; // 1.5 * 2^23: what is added to it keeps no fraction
  const Floats n = (x * 1.44269504f + round) - round;
  const Floats f = (x - n * 0.693359375f) + n * 2.12194440e-4f; // ln 2 in two parts
  Floats p = all(1.9875691500e-4f);
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  const Ints scale = (__builtin_convertvector(n, Ints) + 127) << 23;
  return tiny ? all(0) : p * (Floats)scale;
}
#endif

// The factors of sixteen columns of a row from column on: 0, or d.scale.
INLINE Floats kept(Drop d, uint64_t key, int64_t column) {
  const Words lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  Words h = (lane + (uint32_t)column) * 0x9e3779b1u + (uint32_t)key;
  h = (h ^ h >> 16) * 0x85ebca6bu; // the finalizer of MurmurHash3
  h = (h ^ h >> 13 ^ (uint32_t)(key >> 32)) * 0xc2b2ae35u;
  h ^= h >> 16;
  return h >= d.below ? all(d.scale) : all(0);
}

// to = x where it is kept, scaled.
template <class T> void drop(T *to, const T *x, int64_t n, Drop d, uint64_t key) {
  for (int64_t i = 0; i < n; i += kLanes)
    store(to + i, n - i, load(x + i, n - i) * kept(d, key, i));
}

// to = base + x where it is kept, scaled.
template <class T> void add_dropped(float *to, const float *base, const T *x, int64_t n, Drop d, uint64_t key) {
  for (int64_t i = 0; i < n; i += kLanes)
    store(to + i, n - i, load(base + i, n - i) + load(x + i, n - i) * kept(d, key, i));
}

// The gradient of add_dropped's x.
template <class T> void add_dropped_back(T *to, const float *g, int64_t n, Drop d, uint64_t key) {
  for (int64_t i = 0; i < n; i += kLanes)
    store(to + i, n - i, load(g + i, n - i) * kept(d, key, i));
}

// LayerNorm of x; moments becomes its mean and the inverse of its deviation.
template <class T> void norm(T *to, const float *x, const float *w, const float *b, int64_t n, float eps, float *moments) {
  Floats s = all(0);
  for (int64_t i = 0; i < n; i += kLanes)
    s += load(x + i, n - i);
  const float mean = sum(s) / n;
  Floats q = all(0);
  for (int64_t i = 0; i < n; i += kLanes) {
    const Floats c = load(x + i, n - i, mean) - mean;
    q += c * c;
  }
  const float inverse = 1 / __builtin_sqrtf(sum(q) / n + eps);
  for (int64_t i = 0; i < n; i += kLanes)
    store(to + i, n - i, (load(x + i, n - i) - mean) * inverse * load(w + i, n - i) + load(b + i, n - i));
  moments[0] = mean;
  moments[1] = inverse;
}

// Its gradients: to of x; dw and db are added to.
template <class T>
void norm_back(float *to, const T *g, const float *x, const float *w, int64_t n, const float *moments, float *dw, float *db) {
  const float mean = moments[0], inverse = moments[1];
  Floats s = all(0), q = all(0);
  for (int64_t i = 0; i < n; i += kLanes) {
    const Floats gi = load(g + i, n - i), hat = (load(x + i, n - i, mean) - mean) * inverse, gw = gi * load(w + i, n - i);
    s += gw;
    q += gw * hat;
    store(dw + i, n - i, load(dw + i, n - i) + gi * hat);
    store(db + i, n - i, load(db + i, n - i) + gi);
  }
  const float a = sum(s) / n, b = sum(q) / n;
  for (int64_t i = 0; i < n; i += kLanes) {
    const Floats hat = (load(x + i, n - i) - mean) * inverse;
    store(to + i, n - i, (load(g + i, n - i) * load(w + i, n - i) - a - hat * b) * inverse);
  }
}

// GELU by its tanh approximation, written with the logistic function:
// (1 + tanh(u)) / 2 = 1 / (1 + e^-2u).
INLINE Floats logistic(const Floats &x) {
  const Floats u = x * 1.5957691216f * (1.0f + 0.044715f * x * x);
  return 1.0f / (1.0f + exponential(-u));
}

template <class T> void gelu(T *to, const T *x, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const Floats v = load(x + i, n - i);
    store(to + i, n - i, v * logistic(v));
  }
}

template <class T> void gelu_back(T *to, const T *g, const T *x, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const Floats v = load(x + i, n - i), l = logistic(v);
    const Floats slope = 1.5957691216f * (1.0f + 3 * 0.044715f * v * v);
    store(to + i, n - i, load(g + i, n - i) * (l + v * l * (1.0f - l) * slope));
  }
}

// The largest of scale * x.
template <class T> INLINE float largest_of(const T *x, int64_t n, float scale) {
  Floats m = all(-3.0e38f);
  for (int64_t i = 0; i < n; i += kLanes) {
    const Floats v = load(x + i, n - i, -3.0e38f) * scale;
    m = v > m ? v : m;
  }
  return largest(m);
}

// Makes of a row x of n scores, of which the first seen may be read, what
// multiplies the values, to, which may be x: exponentials of scale * x less the largest, dropped out.
// moments becomes that largest and the sum of all exponentials, which the product
// is still to be divided by.
template <class T, class F>
void exponentials(T *to, const F *x, int64_t n, int64_t seen, float scale, Drop d, uint64_t key, float *moments) {
  const float top = largest_of(x, seen, scale);
  Floats s = all(0);
  for (int64_t i = 0; i < n; i += kLanes) {
    Floats p = all(0);
    if (i < seen) {
      p = exponential(load(x + i, seen - i, -3.0e38f) * scale - top);
      s += p;
      if (d.below)
        p *= kept(d, key, i);
    }
    store(to + i, n - i, p);
  }
  moments[0] = top;
  moments[1] = sum(s);
}

// Sixteen columns from i on of a row of scores x and of the gradient dp of its dropped
// softmax: that softmax, and the gradient of the scores. dot is the sum of the output's
// gradient times the output.
template <class T>
INLINE void softmax_back_at(Floats &softmax, Floats &gradient, const T *x, const T *dp, int64_t i, int64_t seen, float scale, Drop d, uint64_t key,
                            float top, float inverse, float dot) {
  const Floats p = exponential(load(x + i, seen - i, -3.0e38f) * scale - top) * inverse;
  Floats g = load(dp + i, seen - i);
  softmax = p;
  if (d.below) {
    const Floats k = kept(d, key, i);
    g *= k;
    softmax *= k;
  }
  gradient = p * (g - dot) * scale;
}

// The same of n columns, of which the first seen are read: x becomes the softmax, dp
// the gradient of the scores.
template <class T>
void softmax_back(T *x, T *dp, int64_t n, int64_t seen, float scale, Drop d, uint64_t key, const float *moments, float dot) {
  for (int64_t i = 0; i < n; i += kLanes) {
    Floats p = all(0), ds = all(0);
    if (i < seen)
      softmax_back_at(p, ds, x, dp, i, seen, scale, d, key, moments[0], 1 / moments[1], dot);
    store(x + i, n - i, p);
    store(dp + i, n - i, ds);
  }
}

template <class T> float product(const T *a, const T *b, int64_t n) {
  Floats s = all(0);
  for (int64_t i = 0; i < n; i += kLanes)
    s += load(a + i, n - i) * load(b + i, n - i);
  return sum(s);
}

// The logarithm of the sum of exponentials of x.
template <class T> float log_sum(const T *x, int64_t n) {
  const float m = largest_of(x, n, 1);
  Floats s = all(0);
  for (int64_t i = 0; i < n; i += kLanes)
    s += exponential(load(x + i, n - i, -3.0e38f) - m);
  return m + __builtin_logf(sum(s));
}

// to = softmax(x) * by.
template <class T> void log_sum_back(T *to, const T *x, int64_t n, float log_sum, float by) {
  for (int64_t i = 0; i < n; i += kLanes)
    store(to + i, n - i, exponential(load(x + i, n - i) - log_sum) * by);
}

// to += x, in float32.
template <class T> void accumulate(float *to, const T *x, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes)
    store(to + i, n - i, load(to + i, n - i) + load(x + i, n - i));
}

// to = x * by.
template <class T, class F> void scaled(T *to, const F *x, int64_t n, float by) {
  for (int64_t i = 0; i < n; i += kLanes)
    store(to + i, n - i, load(x + i, n - i) * by);
}

template <class T>
constexpr Rows<T> rows = {drop<T>, add_dropped<T>, add_dropped_back<T>, norm<T>, norm_back<T>, gelu<T>, gelu_back<T>,
                          exponentials<T, T>, softmax_back<T>, product<T>, log_sum<T>, log_sum_back<T>, accumulate<T>, scaled<T, T>};

// What follows computes single tokens. What comes of a row depends on no other
// row, to the last bit.

INLINE Floats halves(const Floats &a, const Floats &b) {
  return SHUFFLE(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
         SHUFFLE(a, b, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
}
INLINE Floats quarters(const Floats &a, const Floats &b) {
  return SHUFFLE(a, b, 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27) +
         SHUFFLE(a, b, 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
}
INLINE Floats eighths(const Floats &a, const Floats &b) {
  return SHUFFLE(a, b, 0, 1, 4, 5, 8, 9, 12, 13, 16, 17, 20, 21, 24, 25, 28, 29) +
         SHUFFLE(a, b, 2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31);
}
INLINE Floats lanes(const Floats &a, const Floats &b) {
  return SHUFFLE(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30) +
         SHUFFLE(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
}

// The sums of SUMS vectors, side by side; behind them nothing of use.
INLINE Floats sums(const Floats *v) {
#if SUMS == 16
  const Floats a = quarters(halves(v[0], v[1]), halves(v[2], v[3])), b = quarters(halves(v[4], v[5]), halves(v[6], v[7]));
  const Floats c = quarters(halves(v[8], v[9]), halves(v[10], v[11])), d = quarters(halves(v[12], v[13]), halves(v[14], v[15]));
  return lanes(eighths(a, b), eighths(c, d));
#else
  const Floats a = quarters(halves(v[0], v[1]), halves(v[2], v[3]));
  const Floats b = eighths(a, a);
  return lanes(b, b);
#endif
}

// What products of single tokens read: numbers in float32, or pairs of them in
// bfloat16. A row of them is padded with zeros to a multiple of sixteen.
INLINE Words load(const Pair *p) {
  Words v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
INLINE Floats spread(float x) { return all(x); }
INLINE Words spread(Pair x) { return Words{} + x; }
INLINE Floats firsts(const Words &v) { return (Floats)(v << 16); }
INLINE Floats seconds(const Words &v) { return (Floats)(v & 0xffff0000u); }

INLINE Floats multiply_add(const Floats &sum, const Floats &a, const Floats &b) { return sum + a * b; }
INLINE Floats multiply_add(const Floats &sum, const Words &a, const Words &b) {
#ifdef BF16_INSTRUCTIONS
  return (Floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
#else
  return sum + seconds(a) * seconds(b) + firsts(a) * firsts(b);
#endif
}

// x, n long, as a row of padded units.
inline void units(float *to, const float *x, int64_t n, int64_t padded) {
  for (int64_t i = 0; i < padded; i += kLanes)
    store(to + i, load(x + i, n - i));
}
inline void units(Pair *to, const float *x, int64_t n, int64_t padded) {
  for (int64_t i = 0; i < 2 * padded; i += kLanes)
    store((bf16 *)to + i, load(x + i, n - i));
}

// R rows of x times C vectors of outputs: to = x * w + b, added to what is there if
// add; of the outputs only so many are there. What the next tile reads is fetched
// meanwhile, a line of a cache for each unit.
template <class U, int R, int C>
void few_tile(float *to, int64_t stride, const U *x, int64_t units, const U *w, const float *b, int64_t there, bool add, const U *next) {
  Floats acc[R][C] = {};
  for (int64_t u = 0; u < units; u++) {
    __builtin_prefetch(next + u * kLanes, 0, 2);
    decltype(load(w)) v[C];
#pragma GCC unroll 16
    for (int c = 0; c < C; c++)
      v[c] = load(w + u * kGroup + c * kLanes);
#pragma GCC unroll 16
    for (int r = 0; r < R; r++) {
      const auto xr = spread(x[r * units + u]);
#pragma GCC unroll 16
      for (int c = 0; c < C; c++)
        acc[r][c] = multiply_add(acc[r][c], xr, v[c]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; r++)
#pragma GCC unroll 16
    for (int c = 0; c < C; c++) {
      const int64_t o = c * kLanes, n = there - o;
      Floats y = acc[r][c];
      if (b)
        y += load(b + o, n);
      if (add)
        y += load(to + r * stride + o, n);
      store(to + r * stride + o, n, y);
    }
}

// to[r * stride + o] = x[r] * w[o] + b[o] for rows of units and outputs; added to
// what is there if add. b may be null. w has kGroup outputs side by side, unit by
// unit, then the next ones.
template <class U>
void products(float *to, int64_t stride, const U *x, int64_t rows, int64_t units, const U *w, const float *b, int64_t outs, bool add) {
  for (int64_t o = 0; o < outs; o += kGroup, w += kGroup * units) {
    const U *next = w + kGroup * units;
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
      for (int64_t c = 0; c < kGroup && o + c < outs; c += TILE * kLanes, next += units * kLanes)
        few_tile<U, 4, TILE>(to + r * stride + o + c, stride, x + r * units, units, w + c, b ? b + o + c : b, outs - o - c, add, next);
    for (; r < rows; r++, next += units * kLanes)
      few_tile<U, 1, kGroup / kLanes>(to + r * stride + o, stride, x + r * units, units, w, b ? b + o : b, outs - o, add, next);
  }
}

INLINE void add_scaled(Floats *a, float by, const Floats &v) { a[0] += by * v; }
INLINE void add_scaled(Floats *a, float by, const Words &v) {
  a[0] += by * firsts(v);
  a[1] += by * seconds(v);
}
INLINE void store_units(float *to, int64_t n, const Floats *a, float by, const float *) { store(to, n, a[0] * by); }
INLINE void store_units(float *to, int64_t n, const Floats *a, float by, const Pair *) {
  const Floats x = a[0] * by, y = a[1] * by;
  store(to, n, SHUFFLE(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23));
  store(to + kLanes, n - kLanes, SHUFFLE(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31));
}

// N vectors of units of a sum of values: to = by * weights * values, d wide.
template <class U, int N>
INLINE void weigh(float *to, const U *const *keys, int64_t at, const float *weights, int64_t tokens, int64_t d, float by) {
  constexpr int kNumbers = Numbers<U>::count;
  Floats a[N * kNumbers] = {};
  for (int64_t t = 0; t < tokens; t++)
#pragma GCC unroll 16
    for (int i = 0; i < N; i++)
      add_scaled(a + i * kNumbers, weights[t], load(keys[t] + at + i * kLanes));
#pragma GCC unroll 16
  for (int i = 0; i < N; i++)
    store_units(to + i * kNumbers * kLanes, d - i * kNumbers * kLanes, a + i * kNumbers, by, (const U *)nullptr);
}

// One head of one token: to = softmax(scale * q * keys) * values, d wide, in rows of
// units. A token's value is to_values behind its key. weights has room for the
// tokens, to a multiple of sixteen.
template <class U>
void attend(float *to, const U *q, const U *const *keys, int64_t tokens, int64_t units, int64_t d, int64_t to_values, float scale, float *weights) {
  for (int64_t t = 0; t < tokens; t += SUMS) {
    const U *k[SUMS];
    for (int j = 0; j < SUMS; j++)
      k[j] = keys[t + j < tokens ? t + j : tokens - 1];
    Floats acc[SUMS] = {};
    for (int64_t u = 0; u < units; u += kLanes) {
      const auto v = load(q + u);
#pragma GCC unroll 16
      for (int j = 0; j < SUMS; j++)
        acc[j] = multiply_add(acc[j], v, load(k[j] + u));
    }
    float s[kLanes];
    store(s, sums(acc) * scale);
    for (int j = 0; j < SUMS && t + j < tokens; j++)
      weights[t + j] = s[j];
  }
  const float top = largest_of(weights, tokens, 1);
  Floats total = all(0);
  for (int64_t t = 0; t < tokens; t += kLanes) {
    const Floats p = exponential(load(weights + t, tokens - t, -3.0e38f) - top);
    total += p;
    store(weights + t, tokens - t, p);
  }
  const float by = 1 / sum(total);
  constexpr int64_t kNumbers = Numbers<U>::count;
  for (int64_t u = 0; u < units;) {
    const int64_t left = (units - u) / kLanes, at = to_values + u, o = u * kNumbers;
    if (left >= 4)
      weigh<U, 4>(to + o, keys, at, weights, tokens, d - o, by), u += 4 * kLanes;
    else if (left >= 2)
      weigh<U, 2>(to + o, keys, at, weights, tokens, d - o, by), u += 2 * kLanes;
    else
      weigh<U, 1>(to + o, keys, at, weights, tokens, d - o, by), u += kLanes;
  }
}

// The k largest of x, the first of equal ones first: their places and values. It
// returns how many there are above minus infinity.
inline int64_t best(const float *x, int64_t n, int64_t k, int64_t *places, float *values) {
  constexpr int64_t kStretch = 8 * kLanes;
  int64_t found = 0;
  float least = -__builtin_inff();
  for (int64_t from = 0; from < n; from += kStretch) {
    const int64_t m = n - from < kStretch ? n - from : kStretch;
    if (largest_of(x + from, m, 1) <= least)
      continue;
    for (int64_t i = 0; i < m; i++) {
      const float v = x[from + i];
      if (!(v > least))
        continue;
      int64_t at = found < k ? found++ : k - 1;
      for (; at > 0 && values[at - 1] < v; at--)
        values[at] = values[at - 1], places[at] = places[at - 1];
      values[at] = v, places[at] = from + i;
      if (found == k)
        least = values[k - 1];
    }
  }
  return found;
}

template <class U> constexpr Few<U> few_rows = {units, products<U>, attend<U>, best};
