// The parts of a Transformer's training step that a CPU spends its time on when
// they are put together from libtorch's single operations: dropout, whose numbers
// libtorch draws one after the other; attention over a T x T mask; the passes over
// memory between one operation and the next. Matrix products stay with libtorch.
//
// Each is an autograd function on float32 or bfloat16 tensors that computes in
// float32. None depends on the number of threads: random numbers are a function of
// a seed and a place, and sums are taken over fixed parts.
#include "guard.h"
#include "rows.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <vector>

#if AT_PARALLEL_OPENMP && !defined(_OPENMP)
#error "without -fopenmp at::parallel_for runs on one thread"
#endif

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::tensor_list;

// Drop of probability p with a number of libtorch's generator as its seed:
// torch.manual_seed decides it.
Drop make_drop(double p) {
  if (p <= 0)
    return {0, 0, 1};
  auto generator = at::detail::getDefaultCPUGenerator();
  std::lock_guard<std::mutex> lock(generator.mutex());
  return {generator.get<at::CPUGeneratorImpl>()->random64(), (uint32_t)std::min(p * 4294967296.0, 4294967295.0), (float)(1 / (1 - p))};
}

void keep(AutogradContext *ctx, Drop d) {
  ctx->saved_data["seed"] = (int64_t)d.seed;
  ctx->saved_data["below"] = (int64_t)d.below;
  ctx->saved_data["scale"] = (double)d.scale;
}
Drop kept(AutogradContext *ctx) {
  return {(uint64_t)ctx->saved_data["seed"].toInt(), (uint32_t)ctx->saved_data["below"].toInt(), (float)ctx->saved_data["scale"].toDouble()};
}

// The key of a row's random numbers (SplitMix64).
uint64_t row_key(Drop d, uint64_t row) {
  uint64_t x = d.seed + (row + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

// Calls f with a null pointer to x's elements.
template <class F> void by_type(const Tensor &x, F f) {
  if (x.scalar_type() == at::kFloat)
    f((float *)nullptr);
  else if (x.scalar_type() == at::kBFloat16)
    f((bf16 *)nullptr);
  else
    throw std::runtime_error("the elements are neither float32 nor bfloat16");
}

template <class T> T *elements(const Tensor &x) { return static_cast<T *>(x.data_ptr()); }

int64_t rows_of(const Tensor &x) { return x.numel() / x.size(-1); }

// f(from, to) over rows; what it does with a row depends on that row alone.
template <class F> void each_row(int64_t rows, F f) { at::parallel_for(0, rows, 16, f); }

// Sums over rows are taken in this many parts, then over the parts in order.
constexpr int64_t kParts = 16;

struct AddDropped : Function<AddDropped> { // a base without elements is none
  static Tensor forward(AutogradContext *ctx, Tensor base, Tensor x, double p) {
    const Drop d = make_drop(p);
    keep(ctx, d);
    ctx->saved_data["type"] = (int64_t)x.scalar_type();
    const bool sum = base.numel() > 0;
    ctx->saved_data["base"] = sum;
    x = x.contiguous();
    base = base.contiguous();
    Tensor out = sum ? torch::empty_like(base) : torch::empty_like(x);
    const int64_t n = x.size(-1);
    by_type(x, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      each_row(rows_of(x), [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; r++)
          if (sum)
            row<T>().add_dropped(elements<float>(out) + r * n, elements<float>(base) + r * n, elements<T>(x) + r * n, n, d, row_key(d, r));
          else
            row<T>().drop(elements<T>(out) + r * n, elements<T>(x) + r * n, n, d, row_key(d, r));
      });
    });
    return out;
  }
  static tensor_list backward(AutogradContext *ctx, tensor_list gradients) {
    const Drop d = kept(ctx);
    const bool base = ctx->saved_data["base"].toBool();
    Tensor g = gradients[0].contiguous();
    Tensor dx = torch::empty(g.sizes(), g.options().dtype((at::ScalarType)ctx->saved_data["type"].toInt()));
    const int64_t n = g.size(-1);
    by_type(dx, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      each_row(rows_of(g), [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; r++)
          if (base)
            row<T>().add_dropped_back(elements<T>(dx) + r * n, elements<float>(g) + r * n, n, d, row_key(d, r));
          else
            row<T>().drop(elements<T>(dx) + r * n, elements<T>(g) + r * n, n, d, row_key(d, r));
      });
    });
    return {base ? g : Tensor(), dx, Tensor()};
  }
};

struct Norm : Function<Norm> {
  static Tensor forward(AutogradContext *ctx, Tensor x, Tensor w, Tensor b, double eps, int64_t type) {
    x = x.contiguous();
    Tensor out = torch::empty(x.sizes(), x.options().dtype((at::ScalarType)type));
    const int64_t n = x.size(-1), rows = rows_of(x);
    Tensor moments = torch::empty({rows, 2}, x.options());
    by_type(out, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      each_row(rows, [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; r++)
          row<T>().norm(elements<T>(out) + r * n, elements<float>(x) + r * n, elements<float>(w), elements<float>(b), n, (float)eps,
                        elements<float>(moments) + 2 * r);
      });
    });
    ctx->save_for_backward({x, w, moments});
    return out;
  }
  static tensor_list backward(AutogradContext *ctx, tensor_list gradients) {
    auto saved = ctx->get_saved_variables();
    const Tensor &x = saved[0], &w = saved[1], &moments = saved[2];
    Tensor g = gradients[0].contiguous(), dx = torch::empty_like(x);
    const int64_t n = x.size(-1), rows = rows_of(x);
    Tensor dw = torch::zeros({kParts, n}, x.options()), db = torch::zeros({kParts, n}, x.options());
    by_type(g, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      at::parallel_for(0, kParts, 1, [&](int64_t from, int64_t to) {
        for (int64_t part = from; part < to; part++)
          for (int64_t r = rows * part / kParts; r < rows * (part + 1) / kParts; r++)
            row<T>().norm_back(elements<float>(dx) + r * n, elements<T>(g) + r * n, elements<float>(x) + r * n, elements<float>(w), n,
                               elements<float>(moments) + 2 * r, elements<float>(dw) + part * n, elements<float>(db) + part * n);
      });
    });
    return {dx, dw.sum(0), db.sum(0), Tensor(), Tensor()};
  }
};

struct GELU : Function<GELU> {
  static Tensor forward(AutogradContext *ctx, Tensor x) {
    x = x.contiguous();
    ctx->save_for_backward({x});
    Tensor out = torch::empty_like(x);
    const int64_t n = x.size(-1);
    by_type(x, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      each_row(rows_of(x), [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; r++)
          row<T>().gelu(elements<T>(out) + r * n, elements<T>(x) + r * n, n);
      });
    });
    return out;
  }
  static tensor_list backward(AutogradContext *ctx, tensor_list gradients) {
    const Tensor x = ctx->get_saved_variables()[0];
    Tensor g = gradients[0].contiguous(), dx = torch::empty_like(x);
    const int64_t n = x.size(-1);
    by_type(x, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      each_row(rows_of(x), [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; r++)
          row<T>().gelu_back(elements<T>(dx) + r * n, elements<T>(g) + r * n, elements<T>(x) + r * n, n);
      });
    });
    return {dx};
  }
};

// Attention of GLM and of BERT without a mask: of used[b] tokens, those before
// sep[b] read each other, those behind it read all up to themselves. Scores exist
// for one head and a stretch of rows at a time, and are made anew in the backward
// pass (Dao et al. 2022, FlashAttention, with stretches that fit a CPU's cache).
// Where Part B is a root and branches (starts has elements), a row skips the
// columns from sep[b]+1 up to starts[b][row].
struct Attention : Function<Attention> {
  static constexpr int64_t kRows = 128;

  // A stretch of rows: all in Part A, or all behind it. They read columns, but
  // row i of Part B only those up to i.
  struct Stretch {
    int64_t from, to, columns;
    bool causal;
    int64_t seen(int64_t i) const { return causal ? i + 1 : columns; }
  };
  static std::vector<Stretch> stretches(int64_t sep, int64_t used) {
    std::vector<Stretch> all;
    sep = std::min(sep, used);
    for (int64_t r = 0; r < sep; r += kRows)
      all.push_back({r, std::min(r + kRows, sep), sep, false});
    for (int64_t r = sep; r < used; r += kRows)
      all.push_back({r, std::min(r + kRows, used), std::min(r + kRows, used), true});
    return all;
  }

  // The queries (0), keys (1) or values (2) of one head, or of gradients alike.
  static Tensor part(const Tensor &qkv, int64_t b, int64_t used, int64_t which, int64_t head, int64_t heads) {
    const int64_t hidden = qkv.size(2) / 3, d = hidden / heads;
    return qkv.select(0, b).narrow(0, 0, used).narrow(1, which * hidden + head * d, d);
  }

  // Puts scores of nothing where rows must not look: the other branches.
  template <class T> static void skip(T *scores, const Stretch &s, const Tensor &starts, int64_t b, int64_t sep) {
    if (!s.causal || starts.numel() == 0)
      return;
    const T nothing = std::is_same<T, bf16>::value ? (T)0xff61 : (T)-3.0e38f; // both about -3e38
    for (int64_t i = s.from; i < s.to; i++) {
      const int64_t start = elements<int64_t>(starts)[b * starts.size(1) + i];
      std::fill(scores + (i - s.from) * s.columns + std::min(sep + 1, start), scores + (i - s.from) * s.columns + start, nothing);
    }
  }

  static Tensor forward(AutogradContext *ctx, Tensor qkv, Tensor sep, Tensor used, Tensor starts, int64_t heads, double p) {
    const Drop drop = make_drop(p);
    keep(ctx, drop);
    ctx->saved_data["heads"] = heads;
    qkv = qkv.contiguous();
    const int64_t batch = qkv.size(0), length = qkv.size(1), hidden = qkv.size(2) / 3, d = hidden / heads;
    const float scale = 1 / std::sqrt((float)d);
    Tensor out = torch::zeros({batch, length, hidden}, qkv.options());
    Tensor moments = torch::empty({batch, heads, length, 2}, qkv.options().dtype(at::kFloat));
    by_type(qkv, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      at::parallel_for(0, batch * heads, 1, [&](int64_t first, int64_t last) {
        at::AutoDispatchBelowADInplaceOrView below;
        for (int64_t bh = first; bh < last; bh++) {
          const int64_t b = bh / heads, h = bh % heads, n = elements<int64_t>(used)[b];
          const Tensor q = part(qkv, b, n, 0, h, heads).contiguous();
          const Tensor k = part(qkv, b, n, 1, h, heads).contiguous().t();
          const Tensor v = part(qkv, b, n, 2, h, heads).contiguous();
          for (const Stretch &s : stretches(elements<int64_t>(sep)[b], n)) {
            Tensor scores = at::mm(q.narrow(0, s.from, s.to - s.from), k.narrow(1, 0, s.columns)).contiguous();
            skip(elements<T>(scores), s, starts, b, elements<int64_t>(sep)[b]);
            for (int64_t i = s.from; i < s.to; i++)
              row<T>().exponentials(elements<T>(scores) + (i - s.from) * s.columns, s.columns, s.seen(i), scale, drop,
                                    row_key(drop, bh * length + i), elements<float>(moments) + 2 * (bh * length + i));
            const Tensor sums = at::mm(scores, v.narrow(0, 0, s.columns)).contiguous();
            for (int64_t i = s.from; i < s.to; i++)
              row<T>().scaled(elements<T>(out) + (b * length + i) * hidden + h * d, elements<T>(sums) + (i - s.from) * d, d,
                              1 / elements<float>(moments)[2 * (bh * length + i) + 1]);
          }
        }
      });
    });
    ctx->save_for_backward({qkv, sep, used, out, moments, starts});
    return out;
  }

  static tensor_list backward(AutogradContext *ctx, tensor_list gradients) {
    auto saved = ctx->get_saved_variables();
    const Tensor &qkv = saved[0], &sep = saved[1], &used = saved[2], &out = saved[3], &moments = saved[4], &starts = saved[5];
    const Drop drop = kept(ctx);
    const int64_t heads = ctx->saved_data["heads"].toInt();
    const int64_t batch = qkv.size(0), length = qkv.size(1), hidden = qkv.size(2) / 3, d = hidden / heads;
    const float scale = 1 / std::sqrt((float)d);
    const Tensor g = gradients[0].contiguous();
    Tensor dqkv = torch::zeros_like(qkv);
    by_type(qkv, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      at::parallel_for(0, batch * heads, 1, [&](int64_t first, int64_t last) {
        at::AutoDispatchBelowADInplaceOrView below;
        for (int64_t bh = first; bh < last; bh++) {
          const int64_t b = bh / heads, h = bh % heads, n = elements<int64_t>(used)[b];
          const Tensor q = part(qkv, b, n, 0, h, heads).contiguous();
          const Tensor k = part(qkv, b, n, 1, h, heads).contiguous();
          const Tensor v = part(qkv, b, n, 2, h, heads).contiguous().t();
          const Tensor go = g.select(0, b).narrow(0, 0, n).narrow(1, h * d, d).contiguous();
          Tensor dk = torch::zeros({n, d}, moments.options()), dv = torch::zeros({n, d}, moments.options());
          for (const Stretch &s : stretches(elements<int64_t>(sep)[b], n)) {
            const int64_t count = s.to - s.from;
            const Tensor qs = q.narrow(0, s.from, count), gs = go.narrow(0, s.from, count);
            Tensor p = at::mm(qs, k.narrow(0, 0, s.columns).t()).contiguous();
            Tensor dp = at::mm(gs, v.narrow(1, 0, s.columns)).contiguous();
            skip(elements<T>(p), s, starts, b, elements<int64_t>(sep)[b]);
            for (int64_t i = s.from; i < s.to; i++) {
              const float dot = row<T>().product(elements<T>(g) + (b * length + i) * hidden + h * d,
                                                 elements<T>(out) + (b * length + i) * hidden + h * d, d);
              row<T>().softmax_back(elements<T>(p) + (i - s.from) * s.columns, elements<T>(dp) + (i - s.from) * s.columns, s.columns,
                                    s.seen(i), scale, drop, row_key(drop, bh * length + i), elements<float>(moments) + 2 * (bh * length + i), dot);
            }
            part(dqkv, b, n, 0, h, heads).narrow(0, s.from, count).copy_(at::mm(dp, k.narrow(0, 0, s.columns)));
            const Tensor dks = at::mm(dp.t(), qs).contiguous(), dvs = at::mm(p.t(), gs).contiguous();
            row<T>().accumulate(elements<float>(dk), elements<T>(dks), s.columns * d);
            row<T>().accumulate(elements<float>(dv), elements<T>(dvs), s.columns * d);
          }
          part(dqkv, b, n, 1, h, heads).copy_(dk);
          part(dqkv, b, n, 2, h, heads).copy_(dv);
        }
      });
    });
    return {dqkv, Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

// The summed cross-entropy of logits [N, V] against targets [N].
// Of the target's probability a share, smoothing, is spread over all: the loss of
// a row is log_sum - (1 - smoothing) * logit - smoothing * mean of logits.
struct CrossEntropy : Function<CrossEntropy> {
  static Tensor forward(AutogradContext *ctx, Tensor logits, Tensor targets, double smoothing) {
    logits = logits.contiguous();
    const int64_t rows = logits.size(0), n = logits.size(1);
    Tensor sums = torch::empty({rows}, logits.options().dtype(at::kFloat));
    double loss = 0;
    by_type(logits, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      each_row(rows, [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; r++)
          elements<float>(sums)[r] = row<T>().log_sum(elements<T>(logits) + r * n, n);
      });
    });
    const Tensor chosen = logits.gather(1, targets.view({-1, 1})).view({-1}).to(at::kFloat);
    ctx->save_for_backward({logits, targets, sums});
    ctx->saved_data["smoothing"] = smoothing;
    if (smoothing > 0)
      return (sums - chosen * (1 - smoothing) - logits.mean(1, false, at::kFloat) * smoothing).sum();
    return (sums - chosen).sum();
  }
  static tensor_list backward(AutogradContext *ctx, tensor_list gradients) {
    auto saved = ctx->get_saved_variables();
    const Tensor &logits = saved[0], &targets = saved[1], &sums = saved[2];
    const float by = gradients[0].item<float>();
    const int64_t rows = logits.size(0), n = logits.size(1);
    Tensor d = torch::empty_like(logits);
    by_type(logits, [&](auto *type) {
      using T = std::remove_pointer_t<decltype(type)>;
      each_row(rows, [&](int64_t from, int64_t to) {
        for (int64_t r = from; r < to; r++)
          row<T>().log_sum_back(elements<T>(d) + r * n, elements<T>(logits) + r * n, n, elements<float>(sums)[r], by);
      });
    });
    const double smoothing = ctx->saved_data["smoothing"].toDouble();
    if (smoothing > 0)
      d.sub_(by * smoothing / n);
    d.scatter_add_(1, targets.view({-1, 1}), torch::full({rows, 1}, -by * (1 - smoothing), d.options()));
    return {d, Tensor(), Tensor()};
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
    Tensor scores = torch::matmul(q * (1 / std::sqrt((double)q.size(-1))), k.transpose(-2, -1));
    Tensor probabilities = torch::softmax(scores.masked_fill(mask.logical_not(), -65504.0), -1);
    if (dropout > 0)
      probabilities = torch::dropout(probabilities, dropout, true);
    out = torch::matmul(probabilities, v);
  }
  return out.transpose(1, 2).reshape({batch, length, hidden});
}

} // namespace

extern "C" {

int gk_has_fused_attention(void) { return TORCH_VERSION_MAJOR >= 2; }

int gk_has_bfloat16(void) {
#ifdef HAVE_TARGETS
  return __builtin_cpu_supports("avx512bf16");
#else
  return 0;
#endif
}

char *gk_add_dropped(gk_tensor *out, gk_tensor base, gk_tensor x, double p) {
  return guard([&] {
    if (T(x).is_cpu() && p > 0) {
      *out = own(AddDropped::apply(base ? T(base) : torch::empty({0}), T(x), p));
      return;
    }
    const Tensor dropped = p > 0 ? torch::dropout(T(x), p, true) : T(x);
    *out = own(base ? T(base) + dropped : dropped);
  });
}

char *gk_norm(gk_tensor *out, gk_tensor x, gk_tensor w, gk_tensor b, double eps, int dtype) {
  return guard([&] {
    if (T(x).is_cpu())
      *out = own(Norm::apply(T(x), T(w), T(b), eps, (int64_t)dtype));
    else
      *out = own(torch::layer_norm(T(x), {T(x).size(-1)}, T(w), T(b), eps).to((at::ScalarType)dtype));
  });
}

char *gk_gelu(gk_tensor *out, gk_tensor x, int tanh_approximation) {
  return guard([&] {
    if (tanh_approximation && T(x).is_cpu())
      *out = own(GELU::apply(T(x)));
    else
      *out = own(torch::gelu(T(x), tanh_approximation ? "tanh" : "none"));
  });
}

char *gk_attention(gk_tensor *out, gk_tensor qkv, gk_tensor sep, gk_tensor used, gk_tensor starts, int64_t heads, double dropout, int form) {
  return guard([&] {
    const Tensor branches = starts ? T(starts) : torch::empty({0}, T(sep).options());
    if (form == GK_OWN_ATTENTION)
      *out = own(Attention::apply(T(qkv), T(sep), T(used), branches, heads, dropout));
    else
      *out = own(masked_attention(T(qkv), T(sep), branches, heads, dropout, form));
  });
}

char *gk_cross_entropy(gk_tensor *out, gk_tensor logits, gk_tensor targets, double smoothing) {
  return guard([&] {
    if (T(logits).is_cpu())
      *out = own(CrossEntropy::apply(T(logits), T(targets), smoothing));
    else
      *out = own(torch::nn::functional::cross_entropy(
          T(logits).to(at::kFloat), T(targets),
          torch::nn::functional::CrossEntropyFuncOptions().reduction(torch::kSum).label_smoothing(smoothing)));
  });
}

} // extern "C"
