// What keeps a GPU busy: input by way of pinned memory, and an optimizer step
// whose decisions are taken where the gradient lies, with figures that are read
// later. Nothing here waits for the device but gk_read. All of it works on a CPU.
#include "device.h"
#include "guard.h"

#include <ATen/Context.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>
#include <torch/version.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

using torch::Tensor;

at::Device device_of(int index) { return index < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, index); }

// A tensor on its way to the host.
struct Reading {
  Tensor host;
  std::unique_ptr<c10::Event> done; // none where there is nothing to wait for
};

std::unique_ptr<Reading> read(const Tensor &x) {
  auto r = std::make_unique<Reading>();
  r->host = torch::empty(x.sizes(), torch::TensorOptions().dtype(at::kFloat).pinned_memory(x.is_cuda()));
  r->host.copy_(x, /*non_blocking=*/true);
  if (x.is_cuda()) {
    r->done = std::make_unique<c10::Event>(at::kCUDA);
    r->done->record(c10::impl::VirtualGuardImpl(at::kCUDA).getStream(x.device()));
  }
  return r;
}

// The parameters of one weight decay.
struct Group {
  std::vector<Tensor> p, g, m, v;
};

// The step-th update of a group, gradients multiplied by grow; where finite is 0
// nothing changes.
void adamw(Group &x, double decay, double lr, double beta1, double beta2, double eps, const Tensor &step, const Tensor &grow, const Tensor &finite) {
#if TORCH_VERSION_MAJOR >= 2
  if (x.p[0].is_cuda() || TORCH_VERSION_MAJOR > 2 || TORCH_VERSION_MINOR >= 4) {
    const std::vector<Tensor> steps(x.p.size(), step);
    at::_fused_adamw_(x.p, x.g, x.m, x.v, {}, steps, lr, beta1, beta2, decay, eps, false, false, grow.reciprocal(), 1 - finite);
    return;
  }
#endif
  // In float64, as 1 - beta is small beside 1.
  const Tensor taken = finite.gt(0), one = torch::ones_like(finite, at::kDouble), zero = torch::zeros_like(one), n = step.to(at::kDouble);
  const Tensor keep = torch::where(taken, one * (1 - lr * decay), one);
  const Tensor keep1 = torch::where(taken, one * beta1, one), keep2 = torch::where(taken, one * beta2, one);
  const Tensor size = torch::where(taken, lr / (1 - torch::pow(one * beta1, n)), zero), root2 = (1 - torch::pow(one * beta2, n)).sqrt();
  for (size_t i = 0; i < x.p.size(); i++) {
    const Tensor g = torch::where(taken, x.g[i] * grow, torch::zeros_like(finite));
    x.p[i].mul_(keep);
    x.m[i].mul_(keep1).add_(g, 1 - beta1);
    x.v[i].mul_(keep2).addcmul_(g, g, 1 - beta2);
    x.p[i].sub_(x.m[i] / (x.v[i].sqrt() / root2 + eps) * size);
  }
}

} // namespace

extern "C" {

char *gk_upload(gk_tensor *out, const void *data, const int64_t *dims, int n, int dtype, int device) {
  return guard([&] {
    const auto d = device_of(device);
    const auto options = torch::TensorOptions().dtype((at::ScalarType)dtype);
    Tensor host = torch::empty({dims, (size_t)n}, options.pinned_memory(d.is_cuda()));
    std::memcpy(host.data_ptr(), data, host.nbytes());
    // Nobody waits: libtorch reuses pinned memory only after the copies from it.
    *out = own(d.is_cuda() ? host.to(d, /*non_blocking=*/true) : host);
  });
}

char *gk_generator_state(gk_tensor *out, int device) {
  return guard([&] {
    auto generator = at::globalContext().defaultGenerator(device_of(device));
    std::lock_guard<std::mutex> lock(generator.mutex());
    *out = own(generator.get_state());
  });
}

char *gk_set_generator_state(gk_tensor state, int device) {
  return guard([&] {
    auto generator = at::globalContext().defaultGenerator(device_of(device));
    std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(T(state));
  });
}

char *gk_backward_from(gk_tensor *ys, gk_tensor *gradients, int n) {
  return guard([&] {
    std::vector<Tensor> y, g;
    for (int i = 0; i < n; i++)
      if (T(gradients[i]).defined()) {
        y.push_back(T(ys[i]));
        g.push_back(T(gradients[i]));
      }
    torch::autograd::backward(y, g);
  });
}

char *gk_device_step(gk_reading *out, gk_tensor loss, gk_tensor *params, gk_tensor *m, gk_tensor *v, const double *decay, int n, gk_tensor book, double lr,
                     double beta1, double beta2, double eps, double clip, int64_t window) {
  return guard([&] {
    torch::NoGradGuard no_grad;
    std::map<double, Group> groups;
    std::vector<Tensor> gradients;
    for (int i = 0; i < n; i++) {
      Tensor g = T(params[i]).grad();
      if (!g.defined())
        continue;
      gradients.push_back(g);
      Group &x = groups[decay[i]];
      x.p.push_back(T(params[i]));
      x.g.push_back(g);
      x.m.push_back(T(m[i]));
      x.v.push_back(T(v[i]));
    }
    if (gradients.empty())
      throw std::runtime_error("an optimizer step without a gradient");
    Tensor &b = T(book);
    const Tensor scale = b[GK_SCALE].clone();
    const Tensor norm = torch::stack(at::_foreach_norm(gradients, 2)).norm() / scale;
    const Tensor finite = norm.isfinite().to(at::kFloat);
    Tensor grow = scale.reciprocal();
    if (clip > 0) // PyTorch's clip_grad_norm_, whose 1e-6 keeps a zero norm harmless
      grow = grow * (clip / (norm + 1e-6)).clamp_max(1);
    b[GK_UPDATES].add_(finite);
    const Tensor step = b[GK_UPDATES].clamp_min(1);
    for (auto &[decay, group] : groups)
      adamw(group, decay, lr, beta1, beta2, eps, step, grow, finite);
    for (int i = 0; i < n; i++)
      T(params[i]).mutable_grad().reset();
    if (window > 0) { // twice the scale after so many steps without an overflow, half of it after one
      const Tensor clean = (b[GK_CLEAN] + 1) * finite, full = clean.ge(window).to(at::kFloat);
      b[GK_SCALE].copy_(torch::where(finite.gt(0), scale * (1 + full), (scale / 2).clamp_min(1)));
      b[GK_CLEAN].copy_(clean * (1 - full));
    }
    *out = read(torch::cat({torch::stack({T(loss).detach().to(at::kFloat).reshape({}), norm, finite, scale}), b})).release();
  });
}

char *gk_read(gk_reading r, float *to, size_t n) {
  return guard([&] {
    std::unique_ptr<Reading> reading(static_cast<Reading *>(r));
    // The host thread sleeps: its core may feed another process.
    while (reading->done && !reading->done->query())
      std::this_thread::sleep_for(std::chrono::microseconds(20));
    if (!to)
      return;
    if ((size_t)reading->host.numel() != n)
      throw std::runtime_error("reading a tensor: sizes differ");
    std::memcpy(to, reading->host.data_ptr<float>(), n * sizeof(float));
  });
}

} // extern "C"
