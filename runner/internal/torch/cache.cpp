// Attention of single tokens over keys and values that are kept. The keys and
// values of a text lie where its projection left them, [text, token, 3·hidden];
// those of written tokens in slots, [slot, token, 2·hidden]. Several slots may
// belong to one text. Element type float32.
#include "cache.h"
#include "guard.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#pragma GCC diagnostic ignored "-Wpsabi"

namespace {

using torch::Tensor;

constexpr int64_t kLanes = 16;
typedef float Floats __attribute__((vector_size(64), aligned(4)));

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define BEST_TARGET __attribute__((target_clones("default", "arch=haswell", "arch=skylake-avx512")))
#else
#define BEST_TARGET
#endif

// One head of one row: to = softmax(scale·q·kᵀ)·v over two stretches of keys,
// whose values lie behind them.
struct Stretch {
  const float *keys;
  int64_t tokens, stride, to_values;
};

BEST_TARGET void attend(float *to, const float *q, const Stretch *stretches, int64_t d, float scale, float *weights) {
  float most = -std::numeric_limits<float>::infinity();
  float *w = weights;
  for (int s = 0; s < 2; s++) {
    const Stretch &x = stretches[s];
    for (int64_t t = 0; t < x.tokens; t++) {
      const float *k = x.keys + t * x.stride;
      Floats lanes = {};
      int64_t i = 0;
      for (; i + kLanes <= d; i += kLanes)
        lanes += *(const Floats *)(q + i) * *(const Floats *)(k + i);
      float sum = 0;
      for (; i < d; i++)
        sum += q[i] * k[i];
      for (int64_t l = 0; l < kLanes; l++)
        sum += lanes[l];
      *w = sum * scale;
      most = std::max(most, *w++);
    }
  }
  float total = 0;
  for (float *x = weights; x < w; x++)
    total += *x = std::exp(*x - most);
  std::fill(to, to + d, 0.0f);
  w = weights;
  for (int s = 0; s < 2; s++) {
    const Stretch &x = stretches[s];
    for (int64_t t = 0; t < x.tokens; t++) {
      const float *v = x.keys + t * x.stride + x.to_values, p = *w++ / total;
      int64_t i = 0;
      for (; i + kLanes <= d; i += kLanes)
        *(Floats *)(to + i) += p * *(const Floats *)(v + i);
      for (; i < d; i++)
        to[i] += p * v[i];
    }
  }
}

Tensor on_cpu(const Tensor &qkv, const Tensor &context, const Tensor &written, const gk_cached_row *rows, int64_t heads) {
  const int64_t n = qkv.size(0), h = qkv.size(1) / 3, d = h / heads, capacity = written.size(1), text = context.size(1);
  const float *in = qkv.data_ptr<float>(), *c = context.data_ptr<float>();
  float *kept = written.data_ptr<float>();
  int64_t most = 0;
  for (int64_t r = 0; r < n; r++) {
    std::copy(in + r * 3 * h + h, in + (r + 1) * 3 * h, kept + (rows[r].slot * capacity + rows[r].length) * 2 * h);
    most = std::max(most, rows[r].sep + rows[r].length + 1);
  }
  Tensor out = torch::empty({n, h}, qkv.options());
  float *to = out.data_ptr<float>();
  const int64_t grain = std::max<int64_t>(1, (1 << 15) / (most * d)); // enough work for a thread
  at::parallel_for(0, n * heads, grain, [&](int64_t from, int64_t end) {
    std::vector<float> weights(most);
    for (int64_t i = from; i < end; i++) {
      const int64_t r = i / heads, at = i % heads * d;
      const gk_cached_row &row = rows[r];
      const Stretch stretches[2] = {
          {c + row.text * text * 3 * h + h + at, row.sep, 3 * h, h},
          {kept + row.slot * capacity * 2 * h + at, row.length + 1, 2 * h, h},
      };
      attend(to + r * h + at, in + r * 3 * h + at, stretches, d, 1 / std::sqrt((float)d), weights.data());
    }
  });
  return out;
}

// The same by single operations, wherever the tensors are.
Tensor anywhere(const Tensor &qkv, const Tensor &context, const Tensor &written, const gk_cached_row *rows, int64_t heads) {
  const int64_t n = qkv.size(0), h = qkv.size(1) / 3, d = h / heads, capacity = written.size(1), text = context.size(1);
  std::vector<int64_t> texts, seps, slots, lengths;
  for (int64_t r = 0; r < n; r++) {
    texts.push_back(rows[r].text), seps.push_back(rows[r].sep);
    slots.push_back(rows[r].slot), lengths.push_back(rows[r].length);
  }
  auto ids = [&](const std::vector<int64_t> &v) { return torch::tensor(v, at::kLong).to(qkv.device()); };
  Tensor slot = ids(slots), length = ids(lengths);
  Tensor{written}.index_put_({slot, length}, qkv.narrow(1, h, 2 * h));
  Tensor keys = torch::cat({context.index_select(0, ids(texts)).narrow(2, h, 2 * h), written.index_select(0, slot)}, 1);
  Tensor place = torch::arange(text + capacity, slot.options()).unsqueeze(0);
  Tensor seen = (place < ids(seps).unsqueeze(1)) | ((place >= text) & (place - text <= length.unsqueeze(1)));
  auto split = [&](const Tensor &x) { return x.reshape({n, -1, heads, d}).transpose(1, 2); };
  Tensor scores = torch::matmul(split(qkv.narrow(1, 0, h)), split(keys.narrow(2, 0, h)).transpose(2, 3)) / std::sqrt((double)d);
  scores = scores.masked_fill(~seen.reshape({n, 1, 1, -1}), -std::numeric_limits<float>::infinity());
  return torch::matmul(scores.softmax(-1), split(keys.narrow(2, h, h))).reshape({n, h});
}

} // namespace

extern "C" {

char *gk_cached_attention(gk_tensor *out, gk_tensor qkv, gk_tensor context, gk_tensor written, const gk_cached_row *rows, int64_t heads) {
  return guard([&] {
    torch::NoGradGuard no_grad;
    const bool own_kernel = T(qkv).is_cpu() && T(qkv).is_contiguous() && T(context).is_contiguous() && T(written).is_contiguous();
    *out = own(own_kernel ? on_cpu(T(qkv), T(context), T(written), rows, heads) : anywhere(T(qkv), T(context), T(written), rows, heads));
  });
}

char *gk_copy_slots(gk_tensor written, const int64_t *to, const int64_t *from, int64_t n, int64_t length) {
  return guard([&] {
    torch::NoGradGuard no_grad;
    auto ids = [&](const int64_t *v) { return torch::tensor(std::vector<int64_t>(v, v + n), at::kLong).to(T(written).device()); };
    Tensor used = T(written).narrow(1, 0, length);
    used.index_copy_(0, ids(to), used.index_select(0, ids(from)));
  });
}

} // extern "C"
