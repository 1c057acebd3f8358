// Writing token by token. What a row wrote may lie in several slots: it names the
// slot of each of its tokens. Several rows may belong to one text. On a CPU writer.h
// does the work. For tensors anywhere: the keys and values of a text lie where its
// projection left them, [text, token, 3·hidden]; those of written tokens by token and
// slot, [token, slot, 2·hidden].
#include "decode.h"
#include "guard.h"
#include "writer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>
#include <vector>

namespace {

using torch::Tensor;

constexpr int64_t kFewBest = 64; // up to so many are kept in order one by one

void check_row(const gk_cached_row &r, const Tensor &context, const Tensor &written) {
  if (r.text < 0 || r.text >= context.size(0) || r.sep > context.size(1) || r.length < 0 || r.length >= written.size(0) || r.slot < 0 ||
      r.slot >= written.size(1))
    throw std::out_of_range("a row reads or writes what is not there");
}

// The k likeliest tokens behind a row of logits, in their order, whatever k is.
int64_t likeliest(const float *x, int64_t n, int64_t k, int64_t *ids, float *values) {
  if (k <= kFewBest)
    return few<float>().best(x, n, k, ids, values);
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

// Where the rows of a step read and write, on a device: of which text each is, where
// in the slots its own token goes, [rows], which tokens it reads there, [rows · most],
// and which of those and of its text it may see, [rows, 1, 1, tokens + most].
struct Lookup {
  Tensor texts, put, read, seen;
};

Lookup lookup(const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n, int64_t tokens, int64_t slots, at::Device device) {
  int64_t most = 0;
  for (int64_t r = 0; r < n; r++)
    most = std::max(most, rows[r].length + 1);
  // One upload, without waiting.
  Tensor all = torch::empty({4 * n + n * most}, torch::TensorOptions().dtype(at::kLong).pinned_memory(!device.is_cpu()));
  int64_t *x = all.data_ptr<int64_t>();
  for (int64_t r = 0; r < n; r++) {
    x[r] = rows[r].text;
    x[n + r] = rows[r].length * slots + rows[r].slot;
    x[2 * n + r] = rows[r].sep;
    x[3 * n + r] = rows[r].length;
    for (int64_t t = 0; t < most; t++)
      x[4 * n + r * most + t] = t <= rows[r].length ? t * slots + places[r * width + t] : x[n + r];
  }
  all = all.to(device, /*non_blocking=*/true);
  const Tensor seps = all.narrow(0, 2 * n, n).unsqueeze(1), lengths = all.narrow(0, 3 * n, n).unsqueeze(1);
  const Tensor place = torch::arange(tokens + most, all.options()).unsqueeze(0);
  const Tensor seen = (place < seps) | ((place >= tokens) & (place - tokens <= lengths));
  return {all.narrow(0, 0, n), all.narrow(0, n, n), all.narrow(0, 4 * n, n * most), seen.view({n, 1, 1, -1})};
}

// Attention of single tokens by libtorch's operations, wherever the tensors are.
Tensor attention_anywhere(const Tensor &qkv, const Tensor &context, const Tensor &written, const Lookup &at, int64_t heads) {
  const int64_t n = qkv.size(0), h = qkv.size(1) / 3, d = h / heads;
  Tensor all = written.view({-1, 2 * h});
  all.index_copy_(0, at.put, qkv.narrow(1, h, 2 * h));
  Tensor keys = torch::cat({context.index_select(0, at.texts).narrow(2, h, 2 * h), all.index_select(0, at.read).view({n, -1, 2 * h})}, 1);
  auto split = [&](const Tensor &x) { return x.reshape({n, -1, heads, d}).transpose(1, 2); };
  Tensor scores = torch::matmul(split(qkv.narrow(1, 0, h)), split(keys.narrow(2, 0, h)).transpose(2, 3)).to(at::kFloat) / std::sqrt((double)d);
  scores = scores.masked_fill(at.seen.logical_not(), -std::numeric_limits<float>::infinity());
  return torch::matmul(scores.softmax(-1).to(qkv.scalar_type()), split(keys.narrow(2, h, h))).transpose(1, 2).reshape({n, h});
}

} // namespace

extern "C" {

char *gk_cached_lookup(gk_tensor *out, gk_tensor context, gk_tensor written, const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n) {
  return guard([&] {
    for (int64_t r = 0; r < n; r++)
      check_row(rows[r], T(context), T(written));
    Lookup at = lookup(rows, places, width, n, T(context).size(1), T(written).size(1), T(written).device());
    out[0] = own(at.texts), out[1] = own(at.put), out[2] = own(at.read), out[3] = own(at.seen);
  });
}

char *gk_cached_attention(gk_tensor *out, gk_tensor qkv, gk_tensor context, gk_tensor written, const gk_tensor *lookup, int64_t heads) {
  return guard([&] {
    torch::NoGradGuard no_grad;
    *out = own(attention_anywhere(T(qkv), T(context), T(written), {T(lookup[0]), T(lookup[1]), T(lookup[2]), T(lookup[3])}, heads));
  });
}

char *gk_writer_new(gk_writer **out, const gk_tensor *weights, int64_t layers, int64_t heads, int bfloat16) {
  return guard([&] {
    std::vector<const float *> w;
    for (int64_t i = 0; i < 5 + 12 * layers; i++)
      w.push_back(T(weights[i]).data_ptr<float>());
    const int64_t tables[] = {T(weights[0]).size(0), T(weights[1]).size(0), T(weights[2]).size(0)}, h = T(weights[0]).size(1);
    if (bfloat16)
      *out = new Writer<Pair>(w.data(), tables, layers, heads, h);
    else
      *out = new Writer<float>(w.data(), tables, layers, heads, h);
  });
}

void gk_writer_free(gk_writer *w) { delete w; }

char *gk_pages_new(gk_pages **out, gk_writer *w, int64_t texts, int64_t slots) {
  return guard([&] { *out = w->open(texts, slots); });
}

void gk_pages_free(gk_pages *p) { delete p; }

char *gk_pass(gk_pages *p, const int64_t *ids, const gk_cached_row *rows, const int32_t *places, int64_t width, int64_t n, gk_tensor logits) {
  return guard([&] { p->pass(ids, rows, places, width, n, logits ? T(logits).data_ptr<float>() : nullptr, at::get_num_threads()); });
}

int gk_instructions(int limit) {
  at_most = (Instructions)limit;
  return instructions();
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
