// What the autograd functions of kernels.cpp and attention.cpp share: dropout, whose
// numbers are a function of a seed and a place, and elements by their type.
#ifndef GLMKIT_KERNELS_H
#define GLMKIT_KERNELS_H
#include "guard.h"
#include "rows.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/torch.h>

#include <algorithm>
#include <stdexcept>

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
inline Drop make_drop(double p) {
  if (p <= 0)
    return {0, 0, 1};
  auto generator = at::detail::getDefaultCPUGenerator();
  std::lock_guard<std::mutex> lock(generator.mutex());
  return {generator.get<at::CPUGeneratorImpl>()->random64(), (uint32_t)std::min(p * 4294967296.0, 4294967295.0), (float)(1 / (1 - p))};
}

inline void keep(AutogradContext *ctx, Drop d) {
  ctx->saved_data["seed"] = (int64_t)d.seed;
  ctx->saved_data["below"] = (int64_t)d.below;
  ctx->saved_data["scale"] = (double)d.scale;
}
inline Drop kept(AutogradContext *ctx) {
  return {(uint64_t)ctx->saved_data["seed"].toInt(), (uint32_t)ctx->saved_data["below"].toInt(), (float)ctx->saved_data["scale"].toDouble()};
}

// The key of a row's random numbers (SplitMix64).
inline uint64_t row_key(Drop d, uint64_t row) {
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

} // namespace
#endif
