// Attention of GLM and of BERT over packed sequences, without a mask and without
// padding, by libtorch's flash attention (Dao, 2023).
//
// The rows of qkv are the tokens of every Part A, one sequence after the other,
// then those of every Part B. Three calls of the kernel cover what may be seen:
// A reads A, and B reads A, in full; B reads B causally. In the third one a
// sequence has as many queries as keys, so that kernels that align a causal mask
// to its first corner and those that align it to its last agree. What B gets from
// A and from B is merged by the log-sum-exps of the scores; the backward pass
// gives each call the merged output and log-sum-exp, with which its kernel makes
// the probabilities of the whole rows (Liu et al. 2023, Ring Attention).
#include "packed.h"
#include "guard.h"

#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#define LIBTORCH_FROM(major, minor) (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

// The lengths of sequences that lie one after the other.
struct Lengths {
  std::vector<int64_t> each;
  Tensor sums; // int32, on the device: where each begins, and the end
  int64_t total() const { return std::accumulate(each.begin(), each.end(), int64_t{0}); }
  int64_t longest() const { return *std::max_element(each.begin(), each.end()); }
};

// One call of the kernel: queries that read keys of the same sequence.
struct Call {
  const Lengths &queries, &keys;
  bool causal;
  double dropout;
};

// Queries, keys and values [tokens, heads, size] of a stretch of rows.
struct Parts {
  Tensor q, k, v;
  Parts(const Tensor &qkv, int64_t heads, int64_t from, int64_t count) {
    const Tensor x = qkv.view({qkv.size(0), 3, heads, -1}).narrow(0, from, count);
    q = x.select(1, 0), k = x.select(1, 1), v = x.select(1, 2);
  }
};

// What a call gives: out [queries, heads, size], the log-sum-exp of each row's
// scores (float32 [heads, queries], or [sequences, heads, longest] from CUDA
// kernels up to some release), and what dropout was drawn from.
struct Partial {
  Tensor out, sums, seed, offset;
};

// A sequence's rows as the CPU's kernel takes them, [1, heads, tokens, size].
Tensor sequence(const Tensor &x, int64_t from, int64_t count) { return x.narrow(0, from, count).transpose(0, 1).unsqueeze(0); }

Partial attend(const Tensor &q, const Tensor &k, const Tensor &v, const Call &c) {
#if LIBTORCH_FROM(2, 1)
  if (q.is_cuda()) {
    auto r = at::_flash_attention_forward(q, k, v, c.queries.sums, c.keys.sums, c.queries.longest(), c.keys.longest(), c.dropout, c.causal, false);
    return {std::get<0>(r), std::get<1>(r), std::get<2>(r), std::get<3>(r)};
  }
#endif
#if LIBTORCH_FROM(2, 3)
  Partial p{torch::empty(q.sizes(), q.options()), torch::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat)), Tensor(), Tensor()};
  int64_t from = 0, seen = 0;
  for (size_t b = 0; b < c.queries.each.size(); seen += c.keys.each[b], from += c.queries.each[b], b++) {
    const int64_t n = c.queries.each[b], m = c.keys.each[b];
    if (n == 0)
      continue;
    auto r = at::_scaled_dot_product_flash_attention_for_cpu(sequence(q, from, n), sequence(k, seen, m), sequence(v, seen, m), c.dropout, c.causal);
    sequence(p.out, from, n).copy_(std::get<0>(r));
    p.sums.narrow(1, from, n).copy_(std::get<1>(r)[0]);
  }
  return p;
#else
  throw std::runtime_error("packed attention: not in this libtorch");
#endif
}

// The gradients of q, k and v. p.out and p.sums are those of the whole rows.
std::vector<Tensor> attend_back(const Tensor &g, const Tensor &q, const Tensor &k, const Tensor &v, const Partial &p, const Call &c) {
#if LIBTORCH_FROM(2, 1)
  if (q.is_cuda()) {
    auto r = at::_flash_attention_backward(g, q, k, v, p.out, p.sums, c.queries.sums, c.keys.sums, c.queries.longest(), c.keys.longest(), c.dropout,
                                           c.causal, p.seed, p.offset);
    return {std::get<0>(r), std::get<1>(r), std::get<2>(r)};
  }
#endif
#if LIBTORCH_FROM(2, 3)
  Tensor dq = torch::empty(q.sizes(), q.options()), dk = torch::zeros(k.sizes(), k.options()), dv = torch::zeros(v.sizes(), v.options());
  int64_t from = 0, seen = 0;
  for (size_t b = 0; b < c.queries.each.size(); seen += c.keys.each[b], from += c.queries.each[b], b++) {
    const int64_t n = c.queries.each[b], m = c.keys.each[b];
    if (n == 0)
      continue;
    auto r = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        sequence(g, from, n), sequence(q, from, n), sequence(k, seen, m), sequence(v, seen, m), sequence(p.out, from, n),
        p.sums.narrow(1, from, n).unsqueeze(0), c.dropout, c.causal);
    sequence(dq, from, n).copy_(std::get<0>(r));
    sequence(dk, seen, m).copy_(std::get<1>(r));
    sequence(dv, seen, m).copy_(std::get<2>(r));
  }
  return {dq, dk, dv};
#else
  throw std::runtime_error("packed attention: not in this libtorch");
#endif
}

// Log-sum-exps as [queries, heads, 1].
Tensor by_row(const Tensor &sums, const Lengths &queries) {
  if (sums.dim() == 2)
    return sums.t().unsqueeze(2);
#if LIBTORCH_FROM(2, 1)
  const Tensor starts = queries.sums.to(at::kLong), lengths = starts.diff();
  const Tensor of = at::repeat_interleave(lengths, queries.total()); // the sequence of each row
  const Tensor at = torch::arange(queries.total(), starts.options()) - starts.index_select(0, of);
  return sums.permute({0, 2, 1}).index({of, at}).unsqueeze(2);
#else
  throw std::runtime_error("packed attention: not in this libtorch");
#endif
}

// What is in p of rows whose scores sum to whole besides.
Tensor share(const Partial &p, const Tensor &whole, const Lengths &queries) {
  return p.out.to(at::kFloat) * (by_row(p.sums, queries) - whole).exp();
}

struct PackedAttention : Function<PackedAttention> {
  static Tensor forward(AutogradContext *ctx, Tensor qkv, Tensor sums_a, Tensor sums_b, std::vector<int64_t> a, std::vector<int64_t> b, int64_t heads,
                        double dropout) {
    qkv = qkv.contiguous();
    const Lengths la{a, sums_a}, lb{b, sums_b};
    const int64_t in_a = la.total(), in_b = lb.total(), hidden = qkv.size(1) / 3;
    const Parts pa(qkv, heads, 0, in_a);
    const Partial aa = attend(pa.q, pa.k, pa.v, {la, la, false, dropout});
    tensor_list saved{qkv, sums_a, sums_b, aa.out, aa.sums, aa.seed, aa.offset};
    Tensor out = aa.out;
    if (in_b > 0) {
      const Parts pb(qkv, heads, in_a, in_b);
      const Partial ba = attend(pb.q, pa.k, pa.v, {lb, la, false, dropout});
      const Partial bb = attend(pb.q, pb.k, pb.v, {lb, lb, true, dropout});
      const Tensor sums = torch::logaddexp(ba.sums, bb.sums), whole = by_row(sums, lb);
      const Tensor merged = (share(ba, whole, lb) + share(bb, whole, lb)).to(qkv.scalar_type());
      for (const Tensor &x : {merged, sums, ba.seed, ba.offset, bb.seed, bb.offset})
        saved.push_back(x);
      out = torch::cat({aa.out, merged});
    }
    ctx->save_for_backward(saved);
    ctx->saved_data["a"] = a;
    ctx->saved_data["b"] = b;
    ctx->saved_data["heads"] = heads;
    ctx->saved_data["dropout"] = dropout;
    return out.reshape({in_a + in_b, hidden});
  }

  static tensor_list backward(AutogradContext *ctx, tensor_list gradients) {
    const auto saved = ctx->get_saved_variables();
    const Lengths la{ctx->saved_data["a"].toIntVector(), saved[1]}, lb{ctx->saved_data["b"].toIntVector(), saved[2]};
    const int64_t heads = ctx->saved_data["heads"].toInt(), in_a = la.total(), in_b = lb.total();
    const double dropout = ctx->saved_data["dropout"].toDouble();
    const Tensor &qkv = saved[0];
    const Tensor g = gradients[0].contiguous().view({in_a + in_b, heads, -1});
    const Parts pa(qkv, heads, 0, in_a);
    Tensor dqkv = torch::empty_like(qkv);
    const Parts da(dqkv, heads, 0, in_a);
    const auto aa = attend_back(g.narrow(0, 0, in_a), pa.q, pa.k, pa.v, {saved[3], saved[4], saved[5], saved[6]}, {la, la, false, dropout});
    da.q.copy_(aa[0]);
    da.k.copy_(aa[1]);
    da.v.copy_(aa[2]);
    if (in_b > 0) {
      const Parts pb(qkv, heads, in_a, in_b), db(dqkv, heads, in_a, in_b);
      const Tensor gb = g.narrow(0, in_a, in_b);
      const auto ba = attend_back(gb, pb.q, pa.k, pa.v, {saved[7], saved[8], saved[9], saved[10]}, {lb, la, false, dropout});
      const auto bb = attend_back(gb, pb.q, pb.k, pb.v, {saved[7], saved[8], saved[11], saved[12]}, {lb, lb, true, dropout});
      da.k.add_(ba[1]);
      da.v.add_(ba[2]);
      db.q.copy_(ba[0]).add_(bb[0]);
      db.k.copy_(bb[1]);
      db.v.copy_(bb[2]);
    }
    return {dqkv, Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

Tensor packed_attention(const Tensor &qkv, const Tensor &sums_a, const Tensor &sums_b, std::vector<int64_t> a, std::vector<int64_t> b, int64_t heads,
                        double dropout) {
  for (size_t i = 0; i < a.size(); i++)
    if (a[i] == 0)
      throw std::runtime_error("packed attention: a sequence without a Part A");
  return PackedAttention::apply(qkv, sums_a, sums_b, a, b, heads, dropout);
}

// Runs the kernel forward and backward on a few tokens: what a device, an element
// type, a size of heads cannot do, libtorch says itself.
void try_packed(at::Device device, at::ScalarType type, int64_t size, double dropout) {
#if !LIBTORCH_FROM(2, 1)
  throw std::runtime_error("from libtorch 2.1 on");
#elif !LIBTORCH_FROM(2, 3)
  if (device.is_cpu())
    throw std::runtime_error("on a CPU from libtorch 2.3 on");
#endif
  if (device.is_cpu() && dropout > 0)
    throw std::runtime_error("on a CPU without dropout of attention alone");
  // Evaluation switches gradients off.
  torch::AutoGradMode grad(true);
  const auto int32 = torch::TensorOptions().dtype(at::kInt);
  const Tensor qkv = torch::ones({7, 3 * size}, torch::TensorOptions().dtype(type).device(device)).requires_grad_(true);
  const Tensor sums_a = torch::tensor({0, 2, 4}, int32).to(device), sums_b = torch::tensor({0, 3, 3}, int32).to(device);
  const Tensor out = packed_attention(qkv, sums_a, sums_b, {2, 2}, {3, 0}, 1, dropout);
  out.sum().backward();
  if (!qkv.grad().to(at::kFloat).isfinite().all().item<bool>())
    throw std::runtime_error("the kernel's gradient is not finite");
}

} // namespace

extern "C" {

char *gk_packed_problem(int device, int dtype, int64_t head_size, double dropout) {
  return guard([&] { try_packed(device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, device), (at::ScalarType)dtype, head_size, dropout); });
}

char *gk_packed_attention(gk_tensor *out, gk_tensor qkv, gk_tensor sums_a, gk_tensor sums_b, const int64_t *a, const int64_t *b, int64_t sequences,
                          int64_t heads, double dropout) {
  return guard([&] {
    const auto sizes = T(qkv).sizes().vec();
    Tensor y = packed_attention(T(qkv).reshape({-1, sizes.back()}), T(sums_a), T(sums_b), {a, a + sequences}, {b, b + sequences}, heads, dropout);
    *out = own(y.reshape({sizes[0], -1, sizes.back() / 3}));
  });
}

} // extern "C"
