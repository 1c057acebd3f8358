// The parts of a Transformer's training step that a CPU spends its time on when
// they are put together from libtorch's single operations: dropout, whose numbers
// libtorch draws one after the other, and the passes over memory between one operation
// and the next. Matrix products stay with libtorch; attention is in attention.cpp.
//
// Each is an autograd function on float32 or bfloat16 tensors that computes in
// float32. None depends on the number of threads: random numbers are a function of
// a seed and a place, and sums are taken over fixed parts.
#include "kernels.h"

#include <vector>

namespace {

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

} // namespace

extern "C" {

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
