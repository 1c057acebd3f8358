// What the device can do: whatever libtorch can do on a CPU, since its memory is
// the host's, and flash attention, which libtorch has for CUDA alone. What CUDA
// would not do is refused: operations between devices, and copies without waiting
// from and to memory that is not pinned.
#include "hostcuda.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/CPUAllocator.h>
#include <torch/library.h>
#include <torch/torch.h>

#include <cmath>
#include <cstring>
#include <set>
#include <stdexcept>
#include <utility>
#include <vector>

namespace hostcuda {
namespace {

using at::Tensor;
using c10::IValue;

// A tensor over a storage with the shape and type of another.
Tensor over(const c10::Storage &storage, c10::DispatchKey key, const Tensor &like) {
  Tensor t = at::detail::make_tensor<c10::TensorImpl>(c10::Storage(storage), c10::DispatchKeySet(key), like.dtype());
  t.unsafeGetTensorImpl()->set_sizes_and_strides(like.sizes(), like.strides(), like.storage_offset());
  return t;
}

void *data_of(const c10::Storage &s) { return s.data_ptr().get(); }

// The same memory as the CPU sees it.
c10::Storage seen_by_host(const c10::Storage &s) {
  return c10::Storage(c10::Storage::use_byte_size_t(), s.nbytes(), c10::DataPtr(data_of(s), at::Device(at::kCPU)), c10::GetCPUAllocator(), true);
}

Tensor on_host(const Tensor &t) { return over(seen_by_host(t.storage()), c10::DispatchKey::CPU, t); }

// New memory of the device with what a tensor of the host holds.
c10::Storage to_device(const Tensor &t) {
  const size_t n = t.storage().nbytes();
  c10::Storage s(c10::Storage::use_byte_size_t(), n, memory()->allocate(n), memory(), true);
  if (n > 0)
    std::memcpy(data_of(s), data_of(t.storage()), n);
  return s;
}

// The tensors of one operation, there and as the CPU sees them.
class Operands {
public:
  explicit Operands(bool widen) : widen(widen) {}

  Tensor host(const Tensor &there) {
    for (const auto &p : pairs)
      if (p.there.is_same(there))
        return p.host;
    c10::Storage storage;
    for (const auto &[s, seen] : storages)
      if (s.is_alias_of(there.storage()))
        storage = seen;
    if (!storage) {
      storage = seen_by_host(there.storage());
      storages.emplace_back(there.storage(), storage);
    }
    Tensor bits = over(storage, c10::DispatchKey::CPU, there);
    // CPUs have few operations on float16; a GPU takes sums in float32, too.
    const bool half = widen && there.scalar_type() == at::kHalf;
    pairs.push_back({there, bits, half ? bits.to(at::kFloat) : bits});
    any_half |= half;
    return pairs.back().host;
  }

  // What an operation wrote, and gave another shape.
  void write_back(const std::set<const c10::TensorImpl *> &written) {
    for (auto &p : pairs) {
      if (!p.host.is_same(p.bits)) {
        if (written.count(p.there.unsafeGetTensorImpl()))
          p.bits.copy_(p.host);
        continue;
      }
      const auto *impl = p.host.unsafeGetTensorImpl();
      auto *there = p.there.unsafeGetTensorImpl();
      if (data_of(p.host.storage()) != data_of(p.there.storage()))
        there->set_storage_keep_dtype(to_device(p.host));
      if (p.host.sizes() != p.there.sizes() || p.host.strides() != p.there.strides() || impl->storage_offset() != there->storage_offset())
        there->set_sizes_and_strides(p.host.sizes(), p.host.strides(), impl->storage_offset());
    }
  }

  // A result as a tensor of the device: an operand, a view of one, or a new one.
  Tensor result(Tensor host, bool keep_type) {
    if (!host.defined())
      return host;
    for (const auto &p : pairs)
      if (p.host.is_same(host))
        return p.there;
    for (const auto &[there, seen] : storages)
      if (seen.is_alias_of(host.storage()))
        return over(there, c10::DispatchKey::CUDA, host);
    if (any_half && !keep_type && host.scalar_type() == at::kFloat)
      host = host.to(at::kHalf);
    return over(to_device(host), c10::DispatchKey::CUDA, host);
  }

  bool any_half = false;

private:
  struct Pair {
    Tensor there, bits, host; // host is bits, but for float16 its float32
  };
  bool widen; // float16
  std::vector<Pair> pairs;
  std::vector<std::pair<c10::Storage, c10::Storage>> storages;
};

// f(tensor) of every tensor of a value, which is replaced by what f returns.
template <class F> void each_tensor(IValue &v, F f) {
  if (v.isTensor()) {
    if (v.toTensor().defined())
      v = f(v.toTensor());
  } else if (v.isTensorList()) {
    auto list = v.toTensorVector();
    for (auto &t : list)
      if (t.defined())
        t = f(t);
    v = c10::List<Tensor>(list);
  } else if (v.isOptionalTensorList()) {
    auto list = v.toOptionalTensorList();
    auto copy = list.copy();
    for (size_t i = 0; i < copy.size(); i++) {
      auto t = copy.get(i);
      if (t.has_value() && t->defined()) {
        t = f(*t);
        copy.set(i, t);
      }
    }
    v = copy;
  }
}

// The arguments of an operation by their names.
struct Arguments {
  const c10::FunctionSchema &schema;
  std::vector<IValue> values;
  const IValue *find(const std::string &name) const {
    const auto i = schema.argumentIndexWithName(name);
    return i ? &values[*i] : nullptr;
  }
  const IValue &operator[](const std::string &name) const {
    if (const IValue *v = find(name))
      return *v;
    throw std::runtime_error("no argument " + name);
  }
};

// Whether the host must wait for the device to know the size, or the value, of
// what an operation gives.
bool waits_for(const std::string &name, const Arguments &a) {
  static const std::set<std::string> always{"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::equal", "aten::_unique2", "aten::unique_dim",
                                            "aten::unique_consecutive"};
  if (name == "aten::repeat_interleave" && a.find("output_size"))
    return a["output_size"].isNone();
  return always.count(name) > 0;
}

bool draws(const std::string &name, const Arguments &a) { return name == "aten::native_dropout" || a.find("generator"); }

// While it lives, what libtorch's CPU draws is drawn from the device's generator.
class Drawing {
public:
  Drawing() : host(at::detail::getDefaultCPUGenerator()), kept(state(host)) { set(host, state(generator())); }
  ~Drawing() {
    set(generator(), state(host));
    set(host, kept);
  }

private:
  static Tensor state(at::Generator g) {
    std::lock_guard<std::mutex> lock(g.mutex());
    return g.get_state();
  }
  static void set(at::Generator g, const Tensor &s) {
    std::lock_guard<std::mutex> lock(g.mutex());
    g.set_state(s);
  }
  at::Generator host;
  Tensor kept;
};

// Flash attention over packed sequences, as PyTorch's CUDA library has it
// (_flash_attention_forward and _backward of 2.1 on): in float32, a sequence after
// the other. A causal mask is aligned to the last query and key.
struct Flash {
  Tensor q, k, v, ends_q, ends_k;
  double dropout;
  bool causal;
  explicit Flash(const Arguments &a)
      : q(a["query"].toTensor()), k(a["key"].toTensor()), v(a["value"].toTensor()), ends_q(a["cum_seq_q"].toTensor()), ends_k(a["cum_seq_k"].toTensor()),
        dropout(a["dropout_p"].toDouble()), causal(a["is_causal"].toBool()) {
    for (const Tensor &x : {q, k, v}) {
      TORCH_CHECK(x.dim() == 3 && x.stride(2) == 1, "flash attention: not [tokens, heads, size] with its last dimension side by side");
      TORCH_CHECK(x.size(2) % 8 == 0 && x.size(2) <= 256, "flash attention: a head of ", x.size(2));
    }
    for (const auto &[ends, of, longest] : {std::tuple<Tensor, Tensor, int64_t>{ends_q, q, a["max_q"].toInt()}, {ends_k, k, a["max_k"].toInt()}}) {
      TORCH_CHECK(ends.scalar_type() == at::kInt && ends.is_contiguous() && ends[0].item<int>() == 0 && ends[-1].item<int>() == of.size(0),
                  "flash attention: lengths do not end with the tokens");
      TORCH_CHECK(ends.diff().max().item<int>() == longest, "flash attention: the longest sequence is another");
    }
  }
  // The rows of a sequence [heads, tokens, size].
  static Tensor rows(const Tensor &x, const Tensor &ends, int64_t i) {
    const int64_t from = ends[i].item<int>(), to = ends[i + 1].item<int>();
    return x.narrow(0, from, to - from).transpose(0, 1);
  }
  Tensor scores(int64_t i) const {
    const Tensor a = rows(q, ends_q, i).to(at::kFloat), b = rows(k, ends_k, i).to(at::kFloat);
    Tensor s = at::matmul(a, b.transpose(1, 2)) / std::sqrt((double)q.size(2));
    if (causal)
      s = s.masked_fill(at::ones({s.size(1), s.size(2)}, at::kBool).tril(s.size(2) - s.size(1)).logical_not(), -INFINITY);
    return s;
  }
  // What is kept of probabilities, grown.
  Tensor kept(const Tensor &like, at::Generator &g) const {
    return dropout > 0 ? at::empty_like(like).bernoulli_(1 - dropout, g) / (1 - dropout) : at::ones_like(like);
  }
  int64_t sequences() const { return ends_q.size(0) - 1; }
};

void check_half(const Arguments &a) {
  const auto type = a["query"].toTensor().scalar_type();
  TORCH_CHECK(type == at::kHalf || type == at::kBFloat16, "FlashAttention only support fp16 and bf16 data type");
}

std::vector<IValue> flash_forward(const Arguments &a) {
  const Flash f(a);
  // The drawing's place, by which the backward pass finds it again.
  const Tensor seed = at::empty({2}, at::kLong).random_(1 << 30, generator());
  at::Generator g = at::detail::createCPUGenerator(seed[0].item<int64_t>());
  Tensor out = at::empty(f.q.sizes(), f.q.options()), sums = at::empty({f.q.size(1), f.q.size(0)}, at::kFloat);
  for (int64_t i = 0; i < f.sequences(); i++) {
    const Tensor s = f.scores(i);
    Flash::rows(sums.t().unsqueeze(2), f.ends_q, i).copy_(s.logsumexp(2).unsqueeze(2));
    Flash::rows(out, f.ends_q, i).copy_(at::matmul(s.softmax(2) * f.kept(s, g), Flash::rows(f.v, f.ends_k, i).to(at::kFloat)));
  }
  return {out, sums, seed, at::empty({}, at::kLong), at::empty({0}, f.q.options())};
}

std::vector<IValue> flash_backward(const Arguments &a) {
  const Flash f(a);
  const Tensor g_out = a["grad_out"].toTensor(), out = a["out"].toTensor(), sums = a["logsumexp"].toTensor();
  const IValue *seed = a.find("rng_state"); // philox_seed before
  at::Generator g = at::detail::createCPUGenerator((seed ? *seed : a["philox_seed"]).toTensor()[0].item<int64_t>());
  Tensor dq = at::zeros(f.q.sizes(), f.q.options()), dk = at::zeros(f.k.sizes(), f.k.options()), dv = at::zeros(f.v.sizes(), f.v.options());
  const double scale = 1 / std::sqrt((double)f.q.size(2));
  for (int64_t i = 0; i < f.sequences(); i++) {
    const Tensor s = f.scores(i), kept = f.kept(s, g);
    const Tensor p = (s - Flash::rows(sums.t().unsqueeze(2), f.ends_q, i)).exp();
    const Tensor go = Flash::rows(g_out, f.ends_q, i).to(at::kFloat), o = Flash::rows(out, f.ends_q, i).to(at::kFloat);
    const Tensor q = Flash::rows(f.q, f.ends_q, i).to(at::kFloat), k = Flash::rows(f.k, f.ends_k, i).to(at::kFloat), v = Flash::rows(f.v, f.ends_k, i).to(at::kFloat);
    const Tensor ds = p * (at::matmul(go, v.transpose(1, 2)) * kept - (go * o).sum(2, true)) * scale;
    Flash::rows(dq, f.ends_q, i).copy_(at::matmul(ds, k));
    Flash::rows(dk, f.ends_k, i).copy_(at::matmul(ds.transpose(1, 2), q));
    Flash::rows(dv, f.ends_k, i).copy_(at::matmul((p * kept).transpose(1, 2), go));
  }
  return {dq, dk, dv};
}

// Any operation but copies.
void operation(const c10::OperatorHandle &op, torch::jit::Stack *stack) {
  const auto &schema = op.schema();
  const std::string &name = schema.name();
  Arguments a{schema, torch::jit::pop(*stack, schema.arguments().size())};
  count(name);
  if (name == "aten::record_stream") // there is one
    return;
  const bool flash = name == "aten::_flash_attention_forward" || name == "aten::_flash_attention_backward";
  if (flash)
    check_half(a);
  Access access;
  start();
  if (waits_for(name, a))
    wait(name);

  bool view = false;
  for (const auto &r : schema.returns())
    view |= r.alias_info() && !r.alias_info()->isWrite();
  Operands operands(!view);
  std::set<const c10::TensorImpl *> written;
  bool here = false;
  for (size_t i = 0; i < a.values.size(); i++) {
    const auto *alias = schema.arguments()[i].alias_info();
    if (a.values[i].isDevice())
      a.values[i] = at::Device(at::kCPU);
    each_tensor(a.values[i], [&](const Tensor &t) {
      // A number of the host is handed to a kernel as an argument.
      here |= !t.is_cuda() && t.dim() > 0;
      if (!t.is_cuda())
        return t;
      if (alias && alias->isWrite())
        written.insert(t.unsafeGetTensorImpl());
      return operands.host(t);
    });
  }
  TORCH_CHECK(!here, name, ": Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!");

  // A type that is asked for stays.
  bool keep_type = a.find("dtype") && !a["dtype"].isNone();
  if (operands.any_half) {
    for (size_t i = 0; i < a.values.size(); i++) {
      const auto &argument = schema.arguments()[i].name();
      if (argument == "half_to_float" && a.values[i].toBool()) {
        a.values[i] = false;
        keep_type = true;
      } else if (argument == "input_dtype" && a.values[i].toInt() == (int64_t)at::kHalf) {
        a.values[i] = (int64_t)at::kFloat;
      }
    }
  }

  std::vector<IValue> results;
  if (flash) {
    results = name == "aten::_flash_attention_forward" ? flash_forward(a) : flash_backward(a);
  } else {
    torch::jit::Stack s = a.values;
    std::unique_ptr<Drawing> drawing;
    if (draws(name, a))
      drawing = std::make_unique<Drawing>();
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), &s);
    results = s;
  }
  // New memory of the GPU holds what was left there.
  if (name == "aten::empty" || name == "aten::empty_strided")
    for (const auto &r : results)
      std::memset(data_of(r.toTensor().storage()), 0xff, r.toTensor().storage().nbytes());
  for (auto &r : results)
    each_tensor(r, [&](const Tensor &t) { return operands.result(t, keep_type || (flash && t.scalar_type() == at::kFloat && t.dim() == 2)); });
  operands.write_back(written);
  for (auto &r : results)
    torch::jit::push(*stack, std::move(r));
}

Tensor &copy(Tensor &to, const Tensor &from, bool non_blocking) {
  Access access;
  if (to.is_cuda() && from.is_cuda()) {
    count("aten::copy_");
    start();
    on_host(to).copy_(on_host(from));
  } else if (to.is_cuda() && from.dim() == 0 && from.unsafeGetTensorImpl()->is_wrapped_number()) {
    count("aten::fill_");
    start();
    on_host(to).copy_(from);
  } else if (to.is_cuda()) {
    count("upload");
    if (non_blocking && pinned(from.data_ptr())) {
      // Read when the device comes to it. The host may have forgotten the tensor by
      // then, but must not have written to it.
      upload_later([to, from] { on_host(to).copy_(from); });
    } else {
      wait("upload from memory that is not pinned");
      on_host(to).copy_(from);
    }
  } else {
    count("download");
    if (non_blocking) {
      TORCH_CHECK(pinned(to.data_ptr()), "a copy to the host without waiting, to memory that is not pinned");
      start();
      const Tensor now = on_host(from).clone();
      std::memset(to.data_ptr(), 0xff, to.nbytes()); // until it has come
      download_later([to, now] { Tensor(to).copy_(now); });
    } else {
      wait("download");
      to.copy_(on_host(from));
    }
  }
  return to;
}

} // namespace

void install_operations() {
  static torch::Library any(torch::Library::IMPL, "_", c10::DispatchKey::CUDA, __FILE__, __LINE__);
  any.fallback(torch::CppFunction::makeFromBoxedFunction<&operation>());
  static torch::Library aten(torch::Library::IMPL, "aten", c10::DispatchKey::CUDA, __FILE__, __LINE__);
  aten.impl("copy_", TORCH_FN(copy));
}

} // namespace hostcuda
