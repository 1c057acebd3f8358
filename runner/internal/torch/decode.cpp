// Writing token by token. The keys and values of a text lie where its projection
// left them, [text, token, 3·hidden]; those of written tokens by token and slot,
// [token, slot, 2·hidden]. What a row wrote may lie in several slots: it names the
// slot of each of its tokens. Several rows may belong to one text. Element type
// float32.
#include "decode.h"
#include "guard.h"
#include "rows.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace {

using torch::Tensor;

const float kNormEps = 1e-5f;
constexpr int64_t kFewBest = 64; // up to so many are kept in order one by one

// The work of a thread at least, in multiplications.
constexpr int64_t kGrain = 1 << 16;

const float *floats(const gk_tensor &t) { return T(t).data_ptr<float>(); }

// to = x·wᵀ + b for n rows of x, added to what is there if add; then GELU, if gelu.
void products(float *to, const float *x, int64_t n, const Tensor &w, const float *b, bool add, bool gelu) {
  const int64_t outs = w.size(0), in = w.size(1), blocks = (outs + 15) / 16;
  const float *weights = w.data_ptr<float>();
  at::parallel_for(0, blocks, std::max<int64_t>(1, kGrain / (16 * in * n)), [&](int64_t from, int64_t end) {
    const int64_t o = from * 16, some = std::min(end * 16, outs) - o;
    few().products(to + o, outs, x, n, weights + o * in, b ? b + o : nullptr, some, in, add);
    for (int64_t r = 0; gelu && r < n; r++)
      row<float>().gelu(to + r * outs + o, to + r * outs + o, some);
  });
}

void norm(float *to, const float *x, int64_t n, int64_t h, const gk_tensor *w) {
  float moments[2];
  for (int64_t r = 0; r < n; r++)
    row<float>().norm(to + r * h, x + r * h, floats(w[0]), floats(w[1]), h, kNormEps, moments);
}

// The tokens that rows read, as pointers to their keys.
struct Keys {
  std::vector<const float *> of;
  std::vector<int64_t> from; // of each row, and the end of the last
};

void attention(float *to, const float *qkv, const Keys &keys, int64_t n, int64_t h, int64_t heads) {
  const int64_t d = h / heads;
  int64_t most = 0;
  for (int64_t r = 0; r < n; r++)
    most = std::max(most, keys.from[r + 1] - keys.from[r]);
  at::parallel_for(0, n * heads, std::max<int64_t>(1, kGrain / (2 * most * d)), [&](int64_t from, int64_t end) {
    std::vector<float> weights(most + 16);
    for (int64_t i = from; i < end; i++) {
      const int64_t r = i / heads, at = i % heads * d;
      few().attend(to + r * h + at, qkv + r * 3 * h + at, &keys.of[keys.from[r]], at, keys.from[r + 1] - keys.from[r], d, h,
                   1 / std::sqrt((float)d), weights.data());
    }
  });
}

void check_row(const gk_cached_row &r, const Tensor &context, const Tensor &written) {
  if (r.text < 0 || r.text >= context.size(0) || r.sep > context.size(1) || r.length < 0 || r.length >= written.size(0) || r.slot < 0 ||
      r.slot >= written.size(1))
    throw std::out_of_range("a row reads or writes what is not there");
}

// What rows of one layer read: their text, then what they wrote.
void gather(Keys &keys, const Tensor &context, const Tensor &written, const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n) {
  const int64_t text = context.size(1), h = context.size(2) / 3, slots = written.size(1);
  const float *c = context.data_ptr<float>(), *w = written.data_ptr<float>();
  keys.of.clear();
  keys.from.assign(1, 0);
  for (int64_t r = 0; r < n; r++) {
    for (int64_t t = 0; t < rows[r].sep; t++)
      keys.of.push_back(c + (rows[r].text * text + t) * 3 * h + h);
    for (int64_t t = 0; t <= rows[r].length; t++)
      keys.of.push_back(w + (t * slots + places[r * width + t]) * 2 * h);
    keys.from.push_back(keys.of.size());
  }
}

// One token for each of n rows through all layers of GLM. weights are the word, the
// position and the block position embeddings, twelve of each layer, two of the last
// LayerNorm; work has room for n·(vocabulary + 6·hidden) and holds the logits behind
// it, a row for each.
void write(Tensor &work, const gk_tensor *weights, int64_t layers, int64_t heads, const gk_tensor *context, const gk_tensor *written,
           const int64_t *ids, const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n) {
  const Tensor &words = T(weights[0]);
  const int64_t h = words.size(1), vocab = words.size(0);
  if (work.numel() < n * (vocab + 6 * h))
    throw std::out_of_range("too little room to work in");
  float *logits = work.data_ptr<float>(), *x = logits + n * vocab, *a = x + n * h, *wide = a + n * h;
  for (int64_t r = 0; r < n; r++)
    for (int e = 0; e < 3; e++) {
      const int64_t id = ids[e * n + r];
      if (id < 0 || id >= T(weights[e]).size(0))
        throw std::out_of_range("a token or position that the model does not have");
      const float *from = floats(weights[e]) + id * h;
      for (int64_t i = 0; i < h; i++)
        x[r * h + i] = from[i] + (e ? x[r * h + i] : 0);
    }
  Keys keys;
  const gk_tensor *w = weights + 3;
  for (int64_t layer = 0; layer < layers; layer++, w += 12) {
    Tensor &kept = T(written[layer]);
    norm(a, x, n, h, w);
    products(wide, a, n, T(w[2]), floats(w[3]), false, false);
    for (int64_t r = 0; r < n; r++) {
      check_row(rows[r], T(context[layer]), kept);
      std::copy(wide + r * 3 * h + h, wide + (r + 1) * 3 * h, kept.data_ptr<float>() + (rows[r].length * kept.size(1) + rows[r].slot) * 2 * h);
    }
    gather(keys, T(context[layer]), kept, rows, places, width, n);
    attention(a, wide, keys, n, h, heads);
    products(x, a, n, T(w[4]), floats(w[5]), true, false);
    norm(a, x, n, h, w + 6);
    products(wide, a, n, T(w[8]), floats(w[9]), false, true);
    products(x, wide, n, T(w[10]), floats(w[11]), true, false);
  }
  norm(a, x, n, h, w);
  products(logits, a, n, words, nullptr, false, false);
}

// The k likeliest tokens behind a row of logits, in their order, whatever k is.
int64_t likeliest(const float *x, int64_t n, int64_t k, int64_t *ids, float *values) {
  if (k <= kFewBest)
    return few().best(x, n, k, ids, values);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < n; i++)
    if (x[i] > -std::numeric_limits<float>::infinity())
      order.push_back(i);
  k = std::min<int64_t>(k, order.size());
  std::partial_sort(order.begin(), order.begin() + k, order.end(),
                    [&](int64_t a, int64_t b) { return x[a] > x[b] || (x[a] == x[b] && a < b); });
  for (int64_t i = 0; i < k; i++)
    ids[i] = order[i], values[i] = x[order[i]];
  return k;
}

// Attention of single tokens by libtorch's operations, wherever the tensors are.
Tensor attention_anywhere(const Tensor &qkv, const Tensor &context, const Tensor &written, const gk_cached_row *rows, const int32_t *places,
                          int64_t width, int64_t heads) {
  const int64_t n = qkv.size(0), h = qkv.size(1) / 3, d = h / heads, slots = written.size(1), text = context.size(1);
  int64_t most = 0;
  for (int64_t r = 0; r < n; r++) {
    check_row(rows[r], context, written);
    most = std::max(most, rows[r].length + 1);
  }
  std::vector<int64_t> texts, seps, lengths, put, read;
  for (int64_t r = 0; r < n; r++) {
    texts.push_back(rows[r].text), seps.push_back(rows[r].sep), lengths.push_back(rows[r].length);
    put.push_back(rows[r].length * slots + rows[r].slot);
    for (int64_t t = 0; t < most; t++)
      read.push_back(t <= rows[r].length ? t * slots + places[r * width + t] : put.back());
  }
  auto ids = [&](const std::vector<int64_t> &v) { return torch::tensor(v, at::kLong).to(qkv.device()); };
  Tensor all = written.view({-1, 2 * h});
  all.index_copy_(0, ids(put), qkv.narrow(1, h, 2 * h));
  Tensor keys = torch::cat({context.index_select(0, ids(texts)).narrow(2, h, 2 * h), all.index_select(0, ids(read)).view({n, most, 2 * h})}, 1);
  Tensor place = torch::arange(text + most, ids(texts).options()).unsqueeze(0);
  Tensor seen = (place < ids(seps).unsqueeze(1)) | ((place >= text) & (place - text <= ids(lengths).unsqueeze(1)));
  auto split = [&](const Tensor &x) { return x.reshape({n, -1, heads, d}).transpose(1, 2); };
  Tensor scores = torch::matmul(split(qkv.narrow(1, 0, h)), split(keys.narrow(2, 0, h)).transpose(2, 3)) / std::sqrt((double)d);
  scores = scores.masked_fill(~seen.reshape({n, 1, 1, -1}), -std::numeric_limits<float>::infinity());
  return torch::matmul(scores.softmax(-1), split(keys.narrow(2, h, h))).transpose(1, 2).reshape({n, h});
}

} // namespace

extern "C" {

char *gk_cached_attention(gk_tensor *out, gk_tensor qkv, gk_tensor context, gk_tensor written, const gk_cached_row *rows, const int32_t *places,
                          int64_t width, int64_t heads) {
  return guard([&] {
    torch::NoGradGuard no_grad;
    *out = own(attention_anywhere(T(qkv), T(context), T(written), rows, places, width, heads));
  });
}

char *gk_write(gk_tensor work, const gk_tensor *weights, int64_t layers, int64_t heads, const gk_tensor *context, const gk_tensor *written,
               const int64_t *ids, const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n) {
  return guard([&] { write(T(work), weights, layers, heads, context, written, ids, rows, places, width, n); });
}

char *gk_likeliest(gk_tensor logits, int64_t n, int64_t vocab, int64_t size, int64_t end, const int32_t *banned, const int64_t *banned_to,
                   int64_t k, int64_t *ids, float *logp, int64_t *found) {
  return guard([&] {
    const float no = -std::numeric_limits<float>::infinity();
    at::parallel_for(0, n, 1, [&](int64_t from, int64_t to) {
      for (int64_t r = from; r < to; r++) {
        float *x = T(logits).data_ptr<float>() + r * vocab;
        const float sum = row<float>().log_sum(x, vocab), last = x[end];
        if (!std::isfinite(sum)) {
          found[r] = -1;
          continue;
        }
        std::fill(x + size, x + vocab, no);
        x[end] = last;
        for (int64_t i = r ? banned_to[r - 1] : 0; i < banned_to[r]; i++)
          x[banned[i]] = no;
        found[r] = likeliest(x, vocab, k, ids + r * k, logp + r * k);
        for (int64_t i = 0; i < found[r]; i++)
          logp[r * k + i] -= sum;
      }
    });
  });
}

} // extern "C"
