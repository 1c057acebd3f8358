// Processes that train together: their store and collectives are libtorch's
// c10d; gradients lie in flat buckets that are summed while backward still runs
// (Li et al. 2020, "PyTorch Distributed", section 3.2), weights in buckets of the
// same layout, of which every rank updates a stretch (ZeRO stage 1, Rajbhandari et
// al. 2020). USE_C10D_GLOO and USE_C10D_NCCL come from `make libtorch`, which has
// looked whether this libtorch has them.
#include "group.h"
#include "guard.h"

#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/version.h>

#if defined(USE_C10D_GLOO) || defined(USE_C10D_NCCL)
#define GLMKIT_C10D
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#endif
#ifdef USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using torch::Tensor;

std::chrono::milliseconds milliseconds(double seconds) {
  return std::chrono::milliseconds((int64_t)(seconds * 1000));
}

#ifdef GLMKIT_C10D

#if TORCH_VERSION_MAJOR >= 2
using Collectives = c10d::Backend;
#else
using Collectives = c10d::ProcessGroup;
#endif
using Work = c10::intrusive_ptr<c10d::Work>;

// Where libtorch would serve the store by libuv, without which Debian's is built, it
// serves it by threads.
template <class Options> auto by_threads(Options &o, int) -> decltype(o.useLibUV, void()) { o.useLibUV = false; }
template <class Options> void by_threads(Options &, long) {}

struct Store {
  c10::intrusive_ptr<c10d::TCPStore> store;
};

struct Group {
  c10::intrusive_ptr<Collectives> collectives;
  int rank, size;
  at::Device device; // that small numbers pass through

  Work sum(const Tensor &x) {
    std::vector<Tensor> list{x};
    return collectives->allreduce(list);
  }
  Work broadcast(const Tensor &x, int root) {
    std::vector<Tensor> list{x};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    options.rootTensor = 0;
    return collectives->broadcast(list, options);
  }
};

void wait(std::vector<Work> &works) {
  for (auto &w : works)
    w->wait();
  works.clear();
}

#ifdef USE_C10D_GLOO
// Gloo's ranks connect to each other, on the interface that this chooses: as
// PyTorch does, by GLOO_SOCKET_IFNAME or else by this machine's name, which on
// a machine by itself may mean nothing.
std::shared_ptr<::gloo::transport::Device> gloo_device(const std::string &host) {
  if (const char *name = std::getenv("GLOO_SOCKET_IFNAME"))
    return c10d::ProcessGroupGloo::createDeviceForInterface(name);
  if (host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0)
    return c10d::ProcessGroupGloo::createDeviceForHostname(host);
  return c10d::ProcessGroupGloo::createDefaultDevice();
}
#endif

// Every parameter begins at a multiple of 64 bytes.
constexpr int64_t alignment = 16;
int64_t aligned(int64_t n) { return (n + alignment - 1) / alignment * alignment; }

struct Buckets {
  struct Bucket {
    int64_t at = 0, size = 0; // in the row of all buckets
    int last = 0;             // its parameters end before this one of order
    Tensor weights, gradients;
    int waiting = 0; // parameters whose gradient is still to come
  };
  struct Place {
    int bucket;
    int64_t at, size; // in its bucket
    Tensor gradient;  // the view of it there
  };

  std::shared_ptr<Group> group;
  std::vector<Tensor> params;
  std::vector<Place> places; // one per parameter
  std::vector<Bucket> buckets;
  std::vector<int> order; // of parameters: gradients come last first
  int64_t total = 0;      // elements of all buckets
  // For each parameter, whether some rank has ever had a gradient of it: at the
  // end of the last bucket, so that it travels with the gradients.
  Tensor used;

  std::mutex mutex;
  std::vector<char> seen; // a gradient came here, ever
  std::vector<char> here; // and since arm
  bool armed = false;
  size_t next = 0; // bucket to be sent: all ranks send them in this order
  std::vector<Work> works;
  std::exception_ptr failure; // of a hook: backward must not throw on its way

  struct Hook : torch::autograd::FunctionPostHook {
    Buckets *owner;
    int param;
    Hook(Buckets *owner, int param) : owner(owner), param(param) {}
    torch::autograd::variable_list operator()(const torch::autograd::variable_list &outputs,
                                              const torch::autograd::variable_list &) override {
      owner->came(param);
      return outputs;
    }
  };
  // Accumulators live as long as somebody holds them, their hooks with them. Releases
  // differ in how they are held.
  using Accumulator = decltype(torch::autograd::impl::grad_accumulator(std::declval<const Tensor &>()));
  std::vector<std::pair<Accumulator, uintptr_t>> hooks;

  Buckets(std::shared_ptr<Group> g, gk_tensor *list, int n, int64_t elements) : group(std::move(g)) {
    for (int i = 0; i < n; i++)
      params.push_back(T(list[i]));
    places.resize(n);
    seen.assign(n, 0);
    here.assign(n, 0);
    for (int i = n - 1; i >= 0; i--) {
      const int64_t size = params[i].numel();
      if (buckets.empty() || buckets.back().size + aligned(size) > elements)
        buckets.push_back({});
      Bucket &b = buckets.back();
      places[i] = {(int)buckets.size() - 1, b.size, size, {}};
      b.size += aligned(size);
      order.push_back(i);
      b.last = order.size();
    }
    torch::NoGradGuard no_grad;
    for (size_t b = 0, from = 0; b < buckets.size(); from = buckets[b++].last) {
      Bucket &bucket = buckets[b];
      bucket.at = total;
      total += bucket.size;
      const bool tail = b + 1 == buckets.size();
      auto options = params[order[from]].detach().options();
      bucket.weights = torch::zeros({bucket.size}, options);
      bucket.gradients = torch::zeros({bucket.size + (tail ? n : 0)}, options);
      if (tail)
        used = bucket.gradients.narrow(0, bucket.size, n);
      for (int k = from; k < bucket.last; k++) {
        Place &place = places[order[k]];
        Tensor &p = params[order[k]];
        auto view = bucket.weights.narrow(0, place.at, place.size).view(p.sizes());
        view.copy_(p.detach());
        p.set_data(view);
        place.gradient = bucket.gradients.narrow(0, place.at, place.size).view(p.sizes());
      }
    }
    for (int i = 0; i < n; i++) {
      auto accumulator = torch::autograd::impl::grad_accumulator(params[i]);
      auto key = accumulator->add_post_hook(std::make_unique<Hook>(this, i));
      hooks.emplace_back(std::move(accumulator), key);
    }
  }

  ~Buckets() {
    for (auto &h : hooks)
      h.first->del_post_hook(h.second);
  }

  // The stretch of the row that a rank updates.
  int64_t begin(int rank) const { return total / alignment * rank / group->size * alignment; }
  int64_t end(int rank) const { return rank + 1 == group->size ? total : begin(rank + 1); }

  void owned(int param, int64_t *from, int64_t *to) const {
    const Place &place = places[param];
    const int64_t at = buckets[place.bucket].at + place.at;
    *from = std::min(std::max<int64_t>(begin(group->rank) - at, 0), place.size);
    *to = std::max(*from, std::min(end(group->rank) - at, place.size));
  }

  void arm() {
    std::lock_guard<std::mutex> lock(mutex);
    armed = true;
    next = 0;
    std::fill(here.begin(), here.end(), 0);
    int from = 0;
    for (auto &b : buckets) {
      b.waiting = b.last - from;
      from = b.last;
    }
  }

  // A parameter's gradient is whole for this backward pass.
  void came(int param) {
    std::lock_guard<std::mutex> lock(mutex);
    seen[param] = 1;
    if (!armed || here[param])
      return;
    here[param] = 1;
    buckets[places[param].bucket].waiting--;
    try {
      while (next < buckets.size() && buckets[next].waiting == 0)
        send();
    } catch (...) {
      failure = std::current_exception();
      armed = false;
    }
  }

  // Sums the next bucket over the ranks, without waiting for it.
  void send() {
    torch::NoGradGuard no_grad;
    const size_t b = next;
    for (int k = b == 0 ? 0 : buckets[b - 1].last; k < buckets[b].last; k++) {
      const int i = order[k];
      Tensor &view = places[i].gradient;
      auto &gradient = params[i].mutable_grad();
      if (!gradient.defined()) {
        view.zero_();
      } else if (gradient.data_ptr() != view.data_ptr()) { // the first one lies elsewhere
        view.copy_(gradient);
        gradient = view;
      }
    }
    if (b + 1 == buckets.size()) {
      // All hooks have run: this bucket goes last, and when all is there.
      std::vector<float> flags(seen.begin(), seen.end());
      used.copy_(torch::from_blob(flags.data(), {(int64_t)flags.size()}, at::kFloat));
    }
    works.push_back(group->sum(buckets[b].gradients));
    next++;
  }

  // Sends what backward has not, for want of a gradient, and waits for all.
  void reduce() {
    if (!armed && !failure)
      arm(); // no micro-batch fell to this rank
    {
      std::lock_guard<std::mutex> lock(mutex);
      armed = false;
      if (failure) {
        works.clear();
        std::rethrow_exception(std::exchange(failure, nullptr));
      }
      while (next < buckets.size())
        send();
    }
    wait(works);
    auto flags = used.to(at::kCPU);
    const float *flag = flags.data_ptr<float>();
    for (size_t i = 0; i < params.size(); i++) {
      // What no rank uses stays without a gradient, as with a single process.
      if (flag[i] > 0 && !params[i].grad().defined())
        params[i].mutable_grad() = places[i].gradient;
    }
  }

  // Everybody gets the stretches that the others have updated.
  void share() {
    torch::NoGradGuard no_grad;
    for (int rank = 0; rank < group->size; rank++)
      for (auto &b : buckets) {
        const int64_t from = std::max(begin(rank), b.at), to = std::min(end(rank), b.at + b.size);
        if (from < to)
          works.push_back(group->broadcast(b.weights.narrow(0, from - b.at, to - from), rank));
      }
    wait(works);
  }

  // Everybody gets rank 0's weights.
  void spread() {
    torch::NoGradGuard no_grad;
    for (auto &b : buckets)
      works.push_back(group->broadcast(b.weights, 0));
    wait(works);
  }
};

Store &S(gk_store s) { return *static_cast<Store *>(s); }
std::shared_ptr<Group> &G(gk_group g) { return *static_cast<std::shared_ptr<Group> *>(g); }
Buckets &B(gk_buckets b) { return *static_cast<Buckets *>(b); }

#endif // GLMKIT_C10D

} // namespace

extern "C" {

int gk_has_gloo(void) {
#ifdef USE_C10D_GLOO
  return 1;
#else
  return 0;
#endif
}

int gk_has_nccl(void) {
#ifdef USE_C10D_NCCL
  return 1;
#else
  return 0;
#endif
}

#ifdef GLMKIT_C10D

char *gk_store_open(gk_store *out, const char *host, int port, int serve, double timeout) {
  return guard([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serve != 0;
    options.waitWorkers = false;
    options.timeout = milliseconds(timeout);
    by_threads(options, 0);
    *out = new Store{c10::make_intrusive<c10d::TCPStore>(host, options)};
  });
}

void gk_store_close(gk_store s) { delete &S(s); }

char *gk_store_set(gk_store s, const char *key, const char *value) {
  return guard([&] {
    S(s).store->set(key, std::vector<uint8_t>(value, value + std::strlen(value)));
  });
}

char *gk_store_get(gk_store s, const char *key, char **value) {
  return guard([&] {
    *value = nullptr;
    if (!S(s).store->check({key}))
      return; // get would wait for it
    auto bytes = S(s).store->get(key);
    *value = strdup(std::string(bytes.begin(), bytes.end()).c_str());
  });
}

char *gk_group_open(gk_group *out, gk_store s, const char *host, int rank, int size,
                    int device, double timeout) {
  return guard([&] {
    auto store = c10::make_intrusive<c10d::PrefixStore>("glmkit", S(s).store);
    auto g = std::make_shared<Group>(Group{{}, rank, size, at::Device(at::kCPU)});
#ifdef USE_C10D_NCCL
    if (device >= 0) {
      auto options = c10d::ProcessGroupNCCL::Options::create();
      options->timeout = milliseconds(timeout);
      g->collectives = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
      g->device = at::Device(at::kCUDA, device);
    }
#endif
#ifdef USE_C10D_GLOO
    if (!g->collectives) {
      auto options = c10d::ProcessGroupGloo::Options::create(milliseconds(timeout));
      options->devices.push_back(gloo_device(host));
      options->threads = 2;
      g->collectives = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
    }
#endif
    if (!g->collectives)
      throw std::runtime_error("this libtorch has no collectives for this device");
    *out = new std::shared_ptr<Group>(std::move(g));
  });
}

void gk_group_close(gk_group g) { delete &G(g); }

char *gk_group_sum(gk_group g, double *values, size_t n) {
  return guard([&] {
    auto host = torch::from_blob(values, {(int64_t)n}, at::kDouble);
    auto x = host.to(G(g)->device);
    G(g)->sum(x)->wait();
    if (x.data_ptr() != (void *)values)
      host.copy_(x);
  });
}

char *gk_group_sum_tensor(gk_group g, gk_tensor x) {
  return guard([&] { G(g)->sum(T(x))->wait(); });
}

char *gk_buckets_open(gk_buckets *out, gk_group g, gk_tensor *params, int n, int64_t elements) {
  return guard([&] { *out = new Buckets(G(g), params, n, elements); });
}

void gk_buckets_close(gk_buckets b) { delete &B(b); }
void gk_buckets_owned(gk_buckets b, int param, int64_t *from, int64_t *to) { B(b).owned(param, from, to); }
void gk_buckets_arm(gk_buckets b) { B(b).arm(); }
char *gk_buckets_reduce(gk_buckets b) {
  return guard([&] { B(b).reduce(); });
}
char *gk_buckets_share(gk_buckets b) {
  return guard([&] { B(b).share(); });
}
char *gk_buckets_spread(gk_buckets b) {
  return guard([&] { B(b).spread(); });
}

#else // a libtorch without collectives; callers ask gk_has_gloo and gk_has_nccl first

static char *none() { return strdup("this libtorch has no c10d"); }
char *gk_store_open(gk_store *, const char *, int, int, double) { return none(); }
void gk_store_close(gk_store) {}
char *gk_store_set(gk_store, const char *, const char *) { return none(); }
char *gk_store_get(gk_store, const char *, char **) { return none(); }
char *gk_group_open(gk_group *, gk_store, const char *, int, int, int, double) { return none(); }
void gk_group_close(gk_group) {}
char *gk_group_sum(gk_group, double *, size_t) { return none(); }
char *gk_group_sum_tensor(gk_group, gk_tensor) { return none(); }
char *gk_buckets_open(gk_buckets *, gk_group, gk_tensor *, int, int64_t) { return none(); }
void gk_buckets_close(gk_buckets) {}
void gk_buckets_owned(gk_buckets, int, int64_t *, int64_t *) {}
void gk_buckets_arm(gk_buckets) {}
char *gk_buckets_reduce(gk_buckets) { return none(); }
char *gk_buckets_share(gk_buckets) { return none(); }
char *gk_buckets_spread(gk_buckets) { return none(); }

#endif

char *gk_slice(gk_tensor *out, gk_tensor x, int64_t from, int64_t to) {
  return guard([&] { *out = own(T(x).detach().view({-1}).narrow(0, from, to - from)); });
}

char *gk_slice_grad(gk_tensor slice, gk_tensor x, int64_t from, int64_t to) {
  return guard([&] {
    auto g = T(x).grad();
    T(slice).mutable_grad() = g.defined() ? g.view({-1}).narrow(0, from, to - from) : Tensor();
  });
}

} // extern "C"
