// Attention of GLM and of BERT without a mask, an autograd function on float32 or
// bfloat16 tensors: of used[b] tokens, those before sep[b] read each other, those behind
// it read all up to themselves. Scores exist for one head and a stretch of rows at a
// time, and are made anew in the backward pass (Dao et al. 2022, FlashAttention, with
// stretches that fit a CPU's cache). Nothing depends on the number of threads.
//
// Products of bfloat16 are this file's own where the processor multiplies pairs
// (tiles.h); all others are libtorch's.
#include "kernels.h"

#include <torch/version.h>

#include <cmath>
#include <cstdlib>
#include <new>
#include <vector>

namespace {

constexpr int64_t kRows = 96; // of a stretch; tiles have six

// A stretch of rows: all in Part A, or all behind it. They read columns, but row i of
// Part B only those up to i.
struct Stretch {
  int64_t from, to, columns;
  bool causal;
  int64_t count() const { return to - from; }
  int64_t seen(int64_t i) const { return causal ? i + 1 : columns; }
};

// One head of one sequence. Where Part B is a root and branches (starts is not null), a
// row skips the columns from sep + 1 up to starts[row].
struct Head {
  int64_t used, sep, wanted; // rows before wanted are not
  int64_t hidden, at, d; // the model's, where the head begins, and its own
  int64_t first;         // number of its first row among all heads'
  float scale;
  Drop drop;
  const int64_t *starts;
  float *moments; // of each row

  std::vector<Stretch> stretches() const {
    std::vector<Stretch> all;
    const int64_t a = std::min(sep, used);
    for (int64_t r = wanted; r < a; r += kRows)
      all.push_back({r, std::min(r + kRows, a), a, false});
    for (int64_t r = std::max(a, wanted); r < used; r += kRows)
      all.push_back({r, std::min(r + kRows, used), std::min(r + kRows, used), true});
    return all;
  }
  uint64_t key(int64_t row) const { return row_key(drop, first + row); }

  // Puts scores of nothing where rows must not look: the other branches.
  template <class T> void skip(T *scores, int64_t stride, const Stretch &s) const {
    if (!s.causal || !starts)
      return;
    const T nothing = std::is_same<T, bf16>::value ? (T)0xff61 : (T)-3.0e38f; // both about -3e38
    for (int64_t i = s.from; i < s.to; i++)
      std::fill(scores + (i - s.from) * stride + std::min(sep + 1, starts[i]), scores + (i - s.from) * stride + starts[i], nothing);
  }
};

// The queries (0), keys (1) or values (2) of a head, of its sequence's [T, 3 * hidden].
Tensor part(const Head &h, const Tensor &qkv, int64_t which) { return qkv.narrow(0, 0, h.used).narrow(1, which * h.hidden + h.at, h.d); }

template <class T> void forward_by_products(const Head &h, const Tensor &qkv, T *out) {
  const Tensor q = part(h, qkv, 0).contiguous(), k = part(h, qkv, 1).contiguous().t(), v = part(h, qkv, 2).contiguous();
  for (const Stretch &s : h.stretches()) {
    Tensor scores = at::mm(q.narrow(0, s.from, s.count()), k.narrow(1, 0, s.columns)).contiguous();
    T *x = elements<T>(scores);
    h.skip(x, s.columns, s);
    for (int64_t i = s.from; i < s.to; i++, x += s.columns)
      row<T>().exponentials(x, x, s.columns, s.seen(i), h.scale, h.drop, h.key(i), h.moments + 2 * i);
    const Tensor sums = at::mm(scores, v.narrow(0, 0, s.columns)).contiguous();
    for (int64_t i = s.from; i < s.to; i++)
      row<T>().scaled(out + i * h.hidden + h.at, elements<T>(sums) + (i - s.from) * h.d, h.d, 1 / h.moments[2 * i + 1]);
  }
}

template <class T> void backward_by_products(const Head &h, const Tensor &qkv, const Tensor &g, const T *out, Tensor dqkv) {
  const Tensor q = part(h, qkv, 0).contiguous(), k = part(h, qkv, 1).contiguous(), v = part(h, qkv, 2).contiguous().t();
  const Tensor go = g.narrow(0, 0, h.used).narrow(1, h.at, h.d).contiguous();
  Tensor dk = torch::zeros({h.used, h.d}, at::kFloat), dv = torch::zeros_like(dk);
  for (const Stretch &s : h.stretches()) {
    const Tensor qs = q.narrow(0, s.from, s.count()), gs = go.narrow(0, s.from, s.count());
    Tensor p = at::mm(qs, k.narrow(0, 0, s.columns).t()).contiguous();
    Tensor dp = at::mm(gs, v.narrow(1, 0, s.columns)).contiguous();
    h.skip(elements<T>(p), s.columns, s);
    for (int64_t i = s.from; i < s.to; i++) {
      const float dot = row<T>().product(elements<T>(go) + i * h.d, out + i * h.hidden + h.at, h.d);
      row<T>().softmax_back(elements<T>(p) + (i - s.from) * s.columns, elements<T>(dp) + (i - s.from) * s.columns, s.columns, s.seen(i), h.scale,
                            h.drop, h.key(i), h.moments + 2 * i, dot);
    }
    part(h, dqkv, 0).narrow(0, s.from, s.count()).copy_(at::mm(dp, k.narrow(0, 0, s.columns)));
    const Tensor dks = at::mm(dp.t(), qs).contiguous(), dvs = at::mm(p.t(), gs).contiguous();
    row<T>().accumulate(elements<float>(dk), elements<T>(dks), s.columns * h.d);
    row<T>().accumulate(elements<float>(dv), elements<T>(dvs), s.columns * h.d);
  }
  part(h, dqkv, 1).copy_(dk);
  part(h, dqkv, 2).copy_(dv);
}

// Room for n elements, which a thread keeps: malloc would give it back each time, and
// the kernel clear it again.
enum { kKeysAlong, kKeysAcross, kValues, kQueries, kOutputs, kScores, kGradients, kAlong, kAcross, kWeights, kRowSums, kKeySums, kValueSums };
template <int which, class T> T *room(int64_t n) {
  thread_local struct Room {
    T *p = nullptr;
    int64_t n = 0;
    ~Room() { std::free(p); }
  } r;
  if (r.n < n) {
    std::free(r.p);
    r.n = 0;
    r.p = static_cast<T *>(std::aligned_alloc(64, (n * sizeof(T) + 63) / 64 * 64));
    if (!r.p)
      throw std::bad_alloc();
    r.n = n;
  }
  return r.p;
}

int64_t sixteens(int64_t n) { return (n + 15) / 16 * 16; }
const Pair *pairs(const bf16 *x) { return reinterpret_cast<const Pair *>(x); }

void forward_by_tiles(const Head &h, const bf16 *qkv, bf16 *out) {
  const Tiles &t = *tiles();
  const int64_t wide = sixteens(h.used), d = sixteens(h.d), stride = 3 * h.hidden;
  const bf16 *q = qkv + h.at;
  Pair *keys = room<kKeysAlong, Pair>(h.d / 2 * wide), *values = room<kValues, Pair>(wide / 2 * d);
  float *scores = room<kScores, float>(kRows * wide), *sums = room<kRowSums, float>(kRows * d);
  bf16 *weights = room<kAlong, bf16>(kRows * wide);
  t.pairs_along(keys, wide, q + h.hidden, stride, h.used, h.d);
  t.pairs_across(values, d, q + 2 * h.hidden, stride, h.used, h.d);
  for (const Stretch &s : h.stretches()) {
    const int64_t columns = sixteens(s.columns);
    t.multiply(scores, wide, pairs(q + s.from * stride), stride / 2, 1, s.count(), keys, wide, columns, h.d / 2, false);
    h.skip(scores, wide, s);
    for (int64_t i = s.from; i < s.to; i++)
      t.exponentials(weights + (i - s.from) * wide, scores + (i - s.from) * wide, columns, s.seen(i), h.scale, h.drop, h.key(i), h.moments + 2 * i);
    t.multiply(sums, d, pairs(weights), wide / 2, 1, s.count(), values, d, d, columns / 2, false);
    for (int64_t i = s.from; i < s.to; i++)
      t.scaled(out + i * h.hidden + h.at, sums + (i - s.from) * d, h.d, 1 / h.moments[2 * i + 1]);
  }
}

void backward_by_tiles(const Head &h, const bf16 *qkv, const bf16 *g, const bf16 *out, bf16 *dqkv) {
  const Tiles &t = *tiles();
  const int64_t wide = sixteens(h.used), d = sixteens(h.d), stride = 3 * h.hidden;
  const bf16 *q = qkv + h.at;
  bf16 *dq = dqkv + h.at;
  g += h.at, out += h.at;
  Pair *keys = room<kKeysAlong, Pair>(h.d / 2 * wide), *keys_across = room<kKeysAcross, Pair>(wide / 2 * d);
  Pair *values = room<kValues, Pair>(h.d / 2 * wide);
  t.pairs_along(keys, wide, q + h.hidden, stride, h.used, h.d);
  t.pairs_across(keys_across, d, q + h.hidden, stride, h.used, h.d);
  t.pairs_along(values, wide, q + 2 * h.hidden, stride, h.used, h.d);
  Pair *queries = room<kQueries, Pair>(kRows / 2 * d), *outputs = room<kOutputs, Pair>(kRows / 2 * d);
  float *scores = room<kScores, float>(kRows * wide), *gradients = room<kGradients, float>(kRows * wide);
  Pair *weights = room<kWeights, Pair>(kRows / 2 * wide), *across = room<kAcross, Pair>(kRows / 2 * wide);
  bf16 *along = room<kAlong, bf16>(kRows * wide);
  float *sums = room<kRowSums, float>(kRows * d), *dk = room<kKeySums, float>(wide * d), *dv = room<kValueSums, float>(wide * d);
  std::fill(dk, dk + wide * d, 0.f);
  std::fill(dv, dv + wide * d, 0.f);
  for (const Stretch &s : h.stretches()) {
    const int64_t columns = sixteens(s.columns), n = (s.count() + 1) / 2;
    t.pairs_across(queries, d, q + s.from * stride, stride, s.count(), h.d);
    t.pairs_across(outputs, d, g + s.from * h.hidden, h.hidden, s.count(), h.d);
    t.multiply(scores, wide, pairs(q + s.from * stride), stride / 2, 1, s.count(), keys, wide, columns, h.d / 2, false);
    t.multiply(gradients, wide, pairs(g + s.from * h.hidden), h.hidden / 2, 1, s.count(), values, wide, columns, h.d / 2, false);
    h.skip(scores, wide, s);
    for (int64_t i = s.from; i < s.to; i += 2) {
      const int64_t rows = std::min<int64_t>(2, s.to - i), at = (i - s.from) * wide;
      int64_t seen[2];
      uint64_t key[2];
      float dot[2];
      for (int64_t r = 0; r < rows; r++) {
        seen[r] = s.seen(i + r), key[r] = h.key(i + r);
        dot[r] = t.product(g + (i + r) * h.hidden, out + (i + r) * h.hidden, h.d);
      }
      t.softmax_back(weights + at / 2, across + at / 2, along + at, scores + at, gradients + at, wide, columns, rows, seen, h.scale, h.drop, key,
                     h.moments + 2 * i, dot);
    }
    t.multiply(sums, d, pairs(along), wide / 2, 1, s.count(), keys_across, d, d, columns / 2, false);
    for (int64_t i = s.from; i < s.to; i++)
      t.scaled(dq + i * stride, sums + (i - s.from) * d, h.d, 1);
    t.multiply(dk, d, across, 1, wide, s.columns, queries, d, d, n, true);
    t.multiply(dv, d, weights, 1, wide, s.columns, outputs, d, d, n, true);
  }
  for (int64_t i = 0; i < h.used; i++) {
    t.scaled(dq + i * stride + h.hidden, dk + i * d, h.d, 1);
    t.scaled(dq + i * stride + 2 * h.hidden, dv + i * d, h.d, 1);
  }
}

struct Attention : Function<Attention> {
  // f(head, its sequence's number) for each head of each sequence.
  template <class F>
  static void each_head(const Tensor &qkv, const Tensor &sep, const Tensor &used, const Tensor &starts, const Tensor &wanted, const Tensor &moments,
                        int64_t heads, Drop drop, F f) {
    const int64_t batch = qkv.size(0), length = qkv.size(1), hidden = qkv.size(2) / 3, d = hidden / heads;
    at::parallel_for(0, batch * heads, 1, [&](int64_t first, int64_t last) {
      at::AutoDispatchBelowADInplaceOrView below;
      for (int64_t i = first; i < last; i++) {
        const int64_t b = i / heads;
        f(Head{elements<int64_t>(used)[b], elements<int64_t>(sep)[b], first_wanted(wanted, b), hidden, i % heads * d, d, i * length, 1 / std::sqrt((float)d), drop,
               starts.numel() ? elements<int64_t>(starts) + b * length : nullptr, elements<float>(moments) + 2 * i * length},
          b);
      }
    });
  }

  static int64_t first_wanted(const Tensor &wanted, int64_t b) { return wanted.numel() ? elements<int64_t>(wanted)[b] : 0; }

  // Rows that are not wanted, and those behind the ones used, become 0.
  template <class T> static void clear(const Tensor &x, const Tensor &used, const Tensor &wanted) {
    for (int64_t b = 0; b < x.size(0); b++) {
      T *sequence = elements<T>(x) + b * x.size(1) * x.size(2);
      std::fill(sequence, sequence + first_wanted(wanted, b) * x.size(2), (T)0);
      std::fill(sequence + elements<int64_t>(used)[b] * x.size(2), sequence + x.size(1) * x.size(2), (T)0);
    }
  }

  template <class T> static bool by_tiles(int64_t d) { return std::is_same<T, bf16>::value && tiles() && d % 2 == 0; }

  static Tensor forward(AutogradContext *ctx, Tensor qkv, Tensor sep, Tensor used, Tensor starts, Tensor wanted, int64_t heads, double p) {
    const Drop drop = make_drop(p);
    keep(ctx, drop);
    ctx->saved_data["heads"] = heads;
    qkv = qkv.contiguous();
    const int64_t batch = qkv.size(0), length = qkv.size(1), hidden = qkv.size(2) / 3;
    Tensor out = torch::empty({batch, length, hidden}, qkv.options());
    Tensor moments = torch::empty({batch, heads, length, 2}, qkv.options().dtype(at::kFloat));
    by_type(qkv, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      clear<T>(out, used, wanted);
      each_head(qkv, sep, used, starts, wanted, moments, heads, drop, [&](const Head &h, int64_t b) {
        T *to = elements<T>(out) + b * length * hidden;
        if (by_tiles<T>(h.d))
          forward_by_tiles(h, elements<bf16>(qkv) + b * length * 3 * hidden, (bf16 *)to);
        else
          forward_by_products(h, qkv.select(0, b), to);
      });
    });
    ctx->save_for_backward({qkv, sep, used, out, moments, starts, wanted});
    return out;
  }

  static tensor_list backward(AutogradContext *ctx, tensor_list gradients) {
    auto saved = ctx->get_saved_variables();
    const Tensor &qkv = saved[0], &sep = saved[1], &used = saved[2], &out = saved[3], &moments = saved[4], &starts = saved[5],
                 &wanted = saved[6];
    const int64_t length = qkv.size(1), hidden = qkv.size(2) / 3;
    const Tensor g = gradients[0].contiguous();
    Tensor dqkv = torch::empty_like(qkv);
    by_type(qkv, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      clear<T>(dqkv, used, wanted);
      each_head(qkv, sep, used, starts, wanted, moments, ctx->saved_data["heads"].toInt(), kept(ctx), [&](const Head &h, int64_t b) {
        const T *from = elements<T>(out) + b * length * hidden;
        const int64_t at = b * length * 3 * hidden;
        if (by_tiles<T>(h.d))
          backward_by_tiles(h, elements<bf16>(qkv) + at, elements<bf16>(g) + b * length * hidden, (const bf16 *)from, elements<bf16>(dqkv) + at);
        else
          backward_by_products(h, qkv.select(0, b), g.select(0, b), from, dqkv.select(0, b));
      });
    });
    return {dqkv, Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

// Attention as libtorch has it, over a mask of [B, 1, T, T].
Tensor masked_attention(const Tensor &qkv, const Tensor &sep, const Tensor &starts, int64_t heads, double dropout, int form) {
  const int64_t batch = qkv.size(0), length = qkv.size(1), hidden = qkv.size(2) / 3;
  const auto parts = qkv.view({batch, length, 3, heads, hidden / heads}).permute({2, 0, 3, 1, 4});
  const Tensor q = parts[0], k = parts[1], v = parts[2];
  const Tensor i = torch::arange(length, sep.options());
  const Tensor column = i.view({1, 1, 1, length});
  Tensor mask = i.view({1, 1, length, 1}).ge(column);
  const Tensor ends = sep.view({-1, 1, 1, 1});
  if (starts.numel() > 0)
    mask = mask.logical_and(column.ge(starts.view({batch, 1, length, 1})).logical_or(column.eq(ends)));
  mask = mask.logical_or(column.lt(ends));
  Tensor out;
  if (form == GK_LIBTORCH_ATTENTION) {
#if TORCH_VERSION_MAJOR >= 2
    out = at::scaled_dot_product_attention(q, k, v, mask, dropout, false);
#else
    throw std::runtime_error("fused attention: not in this libtorch");
#endif
  } else {
    // The value of masked scores as in the GLM repository: finite, so that a row
    // without any key stays a number.
    Tensor scores = torch::matmul(q * (1 / std::sqrt((double)q.size(-1))), k.transpose(-2, -1)).masked_fill_(mask.logical_not(), -65504.0);
    Tensor probabilities = torch::softmax(scores, -1);
    if (dropout > 0 && scores.is_cpu()) // as torch::dropout does it, but where the scores stood, which nobody needs any more
      probabilities = probabilities * scores.detach().bernoulli_(1 - dropout).div_(1 - dropout);
    else if (dropout > 0)
      probabilities = torch::dropout(probabilities, dropout, true);
    out = torch::matmul(probabilities, v);
  }
  return out.transpose(1, 2).reshape({batch, length, hidden});
}

} // namespace

extern "C" {

int gk_has_fused_attention(void) { return TORCH_VERSION_MAJOR >= 2; }

char *gk_attention(gk_tensor *out, gk_tensor qkv, gk_tensor sep, gk_tensor used, gk_tensor starts, gk_tensor wanted, int64_t heads, double dropout,
                   int form) {
  return guard([&] {
    const Tensor none = torch::empty({0}, T(sep).options()), branches = starts ? T(starts) : none;
    if (form == GK_OWN_ATTENTION)
      *out = own(Attention::apply(T(qkv), T(sep), T(used), branches, wanted ? T(wanted) : none, heads, dropout));
    else
      *out = own(masked_attention(T(qkv), T(sep), branches, heads, dropout, form));
  });
}

} // extern "C"
