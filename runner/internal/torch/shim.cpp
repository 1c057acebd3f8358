#include "guard.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>
#include <torch/version.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <cmath>
#include <limits>
#include <vector>

namespace {

using torch::Tensor;

#ifdef __GLIBC__
// A training step allocates and frees the same few hundred megabytes. glibc
// would give them back to the kernel each time and take them again, zeroed,
// page by page; keeping them saves that. One arena, because only the main one
// can grow without mmap, and tensor work runs on another thread.
__attribute__((constructor)) void keep_freed_memory() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
}
#endif

} // namespace

extern "C" {

int gk_version_major(void) { return TORCH_VERSION_MAJOR; }
int gk_version_minor(void) { return TORCH_VERSION_MINOR; }
const char *gk_version(void) { return TORCH_VERSION; }

void gk_set_threads(int n) { at::set_num_threads(n); }
int gk_threads(void) { return at::get_num_threads(); }
void gk_set_grad(int enabled) { c10::GradMode::set_enabled(enabled != 0); }

char *gk_manual_seed(uint64_t seed) {
  return guard([&] { torch::manual_seed(seed); });
}

char *gk_to(gk_tensor *out, gk_tensor x, int device, int dtype) {
  return guard([&] {
    auto d = device < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, device);
    *out = own(T(x).to(d, (at::ScalarType)dtype));
  });
}

char *gk_cast(gk_tensor *out, gk_tensor x, int dtype) {
  return guard([&] { *out = own(T(x).to((at::ScalarType)dtype)); });
}

char *gk_requires_grad(gk_tensor x) {
  return guard([&] { T(x).requires_grad_(true); });
}

char *gk_data_float(gk_tensor x, float *to, size_t n) {
  return guard([&] {
    Tensor c = T(x).detach().to(at::kCPU, at::kFloat).contiguous();
    if ((size_t)c.numel() != n)
      throw std::runtime_error("reading a tensor: sizes differ");
    std::memcpy(to, c.data_ptr<float>(), n * sizeof(float));
  });
}

char *gk_data_int64(gk_tensor x, int64_t *to, size_t n) {
  return guard([&] {
    Tensor c = T(x).detach().to(at::kCPU, at::kLong).contiguous();
    if ((size_t)c.numel() != n)
      throw std::runtime_error("reading a tensor: sizes differ");
    std::memcpy(to, c.data_ptr<int64_t>(), n * sizeof(int64_t));
  });
}

char *gk_copy_float(gk_tensor x, const float *from, size_t n) {
  return guard([&] {
    torch::NoGradGuard no_grad;
    if ((size_t)T(x).numel() != n)
      throw std::runtime_error("filling a tensor: sizes differ");
    T(x).copy_(torch::from_blob(const_cast<float *>(from), T(x).sizes(), at::kFloat));
  });
}

char *gk_numel(gk_tensor x, int64_t *out) {
  return guard([&] { *out = T(x).numel(); });
}

char *gk_shape(gk_tensor x, int64_t *dims, int max, int *n) {
  return guard([&] {
    auto sizes = T(x).sizes();
    if ((int)sizes.size() > max)
      throw std::runtime_error("a tensor of too many dimensions");
    *n = sizes.size();
    std::copy(sizes.begin(), sizes.end(), dims);
  });
}

char *gk_zero_grad(gk_tensor *params, int n) {
  return guard([&] {
    for (int i = 0; i < n; i++) {
      auto &g = T(params[i]).mutable_grad();
      if (g.defined()) {
        g = g.detach();
        g.zero_();
      }
    }
  });
}

char *gk_drop_grad(gk_tensor *params, int n) {
  return guard([&] {
    for (int i = 0; i < n; i++)
      T(params[i]).mutable_grad().reset();
  });
}

char *gk_grad_norm(gk_tensor *params, int n, double *out) {
  return guard([&] {
    torch::NoGradGuard no_grad;
    std::vector<Tensor> norms;
    for (int i = 0; i < n; i++) {
      auto g = T(params[i]).grad();
      if (g.defined())
        norms.push_back(g.norm());
    }
    *out = norms.empty() ? 0.0 : torch::stack(norms).norm().item<double>();
  });
}

char *gk_adamw(gk_tensor *params, gk_tensor *m, gk_tensor *v, const double *decay,
               int n, double lr, double beta1, double beta2, double eps,
               int64_t step, double grad_scale) {
  return guard([&] {
    torch::NoGradGuard no_grad;
    const double bias1 = 1 - std::pow(beta1, (double)step);
    const double bias2 = 1 - std::pow(beta2, (double)step);
    const double size = lr / bias1, root2 = std::sqrt(bias2);
    for (int i = 0; i < n; i++) {
      Tensor &p = T(params[i]), &mi = T(m[i]), &vi = T(v[i]);
      Tensor g = p.grad();
      if (!g.defined())
        continue;
      if (p.device().is_cpu() && p.scalar_type() == at::kFloat && p.is_contiguous() && g.is_contiguous()) {
        // One pass over memory instead of eight; each element on its own, so
        // the result does not depend on the number of threads.
        float *pp = p.data_ptr<float>(), *pm = mi.data_ptr<float>(), *pv = vi.data_ptr<float>();
        const float *pg = g.data_ptr<float>();
        const float b1 = beta1, b2 = beta2, keep = 1 - lr * decay[i], scale = grad_scale;
        const float fsize = size, froot2 = root2, feps = eps;
        at::parallel_for(0, p.numel(), 1 << 14, [&](int64_t from, int64_t to) {
          for (int64_t j = from; j < to; j++) {
            const float gj = pg[j] * scale;
            pm[j] = b1 * pm[j] + (1 - b1) * gj;
            pv[j] = b2 * pv[j] + (1 - b2) * gj * gj;
            pp[j] = keep * pp[j] - fsize * pm[j] / (std::sqrt(pv[j]) / froot2 + feps);
          }
        });
        continue;
      }
      if (grad_scale != 1.0)
        g = g * grad_scale;
      p.mul_(1 - lr * decay[i]);
      mi.mul_(beta1).add_(g, 1 - beta1);
      vi.mul_(beta2).addcmul_(g, g, 1 - beta2);
      p.addcdiv_(mi, vi.sqrt().div_(root2).add_(eps), -size);
    }
  });
}

} // extern "C"
