// The device: memory that only its own operations can touch, work that is done
// later than it is asked for, events, a random generator, and what libtorch asks
// a CUDA library at runtime.
#include "hostcuda.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/version.h>

#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <stdexcept>
#include <vector>

#define LIBTORCH_FROM(major, minor) (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace hostcuda {
namespace {

const at::Device kDevice(at::kCUDA, 0);
int shown = 0; // devices that libtorch is told of

// A stretch of addresses that nobody can read or write but under Access: host
// code that takes a device's pointer for its own dies here as it does on a GPU.
constexpr size_t kArena = size_t{8} << 30;

std::mutex arena_lock;
char *arena = nullptr;
size_t arena_used = 0;
int arena_open = 0;
std::map<size_t, std::vector<void *>> arena_free; // by size

// Huge pages: to open and close a few of them takes no time.
constexpr size_t kPage = size_t{2} << 20;
size_t pages_used() { return (arena_used + kPage - 1) / kPage * kPage; }

size_t rounded(size_t n) {
  size_t size = 512; // CUDA's own granularity
  while (size < n)
    size *= 2;
  return size;
}

void *take(size_t n) {
  std::lock_guard<std::mutex> lock(arena_lock);
  auto &list = arena_free[n];
  if (!list.empty()) {
    void *p = list.back();
    list.pop_back();
    return p;
  }
  if (arena_used + n > kArena)
    throw std::runtime_error("CUDA out of memory. Tried to allocate " + std::to_string(n) + " bytes");
  void *p = arena + arena_used;
  const size_t had = pages_used();
  arena_used += n;
  if (arena_open && pages_used() > had)
    mprotect(arena + had, pages_used() - had, PROT_READ | PROT_WRITE);
  return p;
}

void give(void *p) {
  // The size stands before what the tensor sees: no map, and no lock for it.
  auto *block = static_cast<std::pair<void *, size_t> *>(p);
  {
    std::lock_guard<std::mutex> lock(arena_lock);
    arena_free[block->second].push_back(block->first);
  }
  delete block;
}

#if LIBTORCH_FROM(2, 3)
#define ALLOCATE_CONST
#else
#define ALLOCATE_CONST const
#endif

struct DeviceMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t n) ALLOCATE_CONST override {
    if (n == 0)
      return {nullptr, kDevice};
    const size_t size = rounded(n);
    void *p = take(size);
    Access access;
    std::memset(p, 0xff, size); // not a number: what nobody has written shows
    return {p, new std::pair<void *, size_t>(p, size), &give, kDevice};
  }
#if LIBTORCH_FROM(2, 3)
  void copy_data(void *to, const void *from, std::size_t n) const override {
    Access access;
    std::memcpy(to, from, n);
  }
#endif
} device_memory;

std::mutex pinned_lock;
std::map<const char *, size_t> pinned_blocks; // by address

struct PinnedMemory final : c10::Allocator {
  static void release(void *p) {
    std::lock_guard<std::mutex> lock(pinned_lock);
    pinned_blocks.erase(static_cast<char *>(p));
    std::free(p);
  }
  c10::DataPtr allocate(size_t n) ALLOCATE_CONST override {
    char *p = static_cast<char *>(std::malloc(n + 1));
    std::lock_guard<std::mutex> lock(pinned_lock);
    pinned_blocks[p] = n + 1;
    return {p, p, &release, at::Device(at::kCPU)};
  }
#if LIBTORCH_FROM(2, 3)
  void copy_data(void *to, const void *from, std::size_t n) const override { std::memcpy(to, from, n); }
#endif
} pinned_memory;

// What is still to be done, in order.
std::mutex work_lock;
std::deque<std::function<void()>> uploads, downloads;

void run(std::deque<std::function<void()>> work) {
  Access access;
  for (auto &f : work)
    f();
}

std::deque<std::function<void()>> taken(std::deque<std::function<void()>> &from) {
  std::lock_guard<std::mutex> lock(work_lock);
  std::deque<std::function<void()>> work;
  work.swap(from);
  return work;
}

std::mutex count_lock;
int64_t calls = 0, waits = 0;
std::map<std::string, int64_t> by_name;

// An event comes true only when it has been asked for some times.
struct Event {
  int asked = 0;
};

struct Guard final : c10::impl::DeviceGuardImplInterface {
  at::DeviceType type() const override { return at::kCUDA; }
  at::Device exchangeDevice(at::Device) const override { return kDevice; }
  at::Device getDevice() const override { return kDevice; }
  void setDevice(at::Device) const override {}
  void uncheckedSetDevice(at::Device) const noexcept override {}
  c10::Stream getStream(at::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, kDevice); }
  c10::Stream getDefaultStream(at::Device) const override { return c10::Stream(c10::Stream::DEFAULT, kDevice); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, kDevice); }
  void destroyEvent(void *event, const at::DeviceIndex) const noexcept override { delete static_cast<Event *>(event); }
  void record(void **event, const c10::Stream &, const at::DeviceIndex, const c10::EventFlag) const override {
    if (!*event)
      *event = new Event;
    static_cast<Event *>(*event)->asked = 0;
  }
  void block(void *, const c10::Stream &) const override {} // there is one stream
  bool queryEvent(void *event) const override {
    if (static_cast<Event *>(event)->asked++ < 2)
      return false;
    run(taken(uploads));
    run(taken(downloads));
    return true;
  }
  // The engine makes its threads for as many devices when it is first used.
  at::DeviceIndex deviceCount() const noexcept override { return 1; }
  bool queryStream(const c10::Stream &) const override { return true; }
  void synchronizeStream(const c10::Stream &) const override { wait("synchronize"); }
} guard_impl;

// Names and signatures differ between releases of libtorch; what one of them
// does not ask for does no harm. So nothing says override.
struct Hooks final : at::CUDAHooksInterface {
  using Index = decltype(std::declval<const at::CUDAHooksInterface &>().current_device());
  explicit Hooks(at::CUDAHooksArgs) {}
  void initCUDA() const {}
  void init() const {}
  const at::Generator &getDefaultCUDAGenerator(at::DeviceIndex = -1) const { return generator(); }
  const at::Generator &getDefaultGenerator(at::DeviceIndex = -1) const { return generator(); }
  at::Device getDeviceFromPtr(void *) const { return kDevice; }
  bool isPinnedPtr(void *p) const { return pinned(p); }
  bool isPinnedPtr(const void *p) const { return pinned(p); }
  bool isBuilt() const { return true; }
  bool isAvailable() const { return shown > 0; }
  bool hasCUDA() const { return shown > 0; }
  bool hasPrimaryContext(int64_t) const { return true; }
  bool hasPrimaryContext(at::DeviceIndex) const { return true; }
  Index current_device() const { return 0; }
  at::DeviceIndex deviceCount() const { return shown; }
  at::DeviceIndex getCurrentDevice() const { return 0; }
  c10::Allocator *getPinnedMemoryAllocator() const { return &pinned_memory; }
  c10::Allocator *getCUDADeviceAllocator() const { return &device_memory; }
  int getNumGPUs() const { return shown; }
  void deviceSynchronize(int64_t) const { wait("synchronize"); }
  void deviceSynchronize(at::DeviceIndex) const { wait("synchronize"); }
};

std::unique_ptr<at::CUDAHooksInterface> make_hooks(at::CUDAHooksArgs args) { return std::make_unique<Hooks>(args); }

} // namespace

Access::Access() {
  std::lock_guard<std::mutex> lock(arena_lock);
  if (arena_open++ == 0 && arena_used > 0)
    mprotect(arena, pages_used(), PROT_READ | PROT_WRITE);
}

Access::~Access() {
  std::lock_guard<std::mutex> lock(arena_lock);
  if (--arena_open == 0 && arena_used > 0)
    mprotect(arena, pages_used(), PROT_NONE);
}

c10::Allocator *memory() { return &device_memory; }

bool pinned(const void *p) {
  const char *at = static_cast<const char *>(p);
  std::lock_guard<std::mutex> lock(pinned_lock);
  auto next = pinned_blocks.upper_bound(at);
  if (next == pinned_blocks.begin())
    return false;
  auto block = std::prev(next);
  return at < block->first + block->second;
}

at::Generator &generator() {
  static at::Generator g = at::detail::createCPUGenerator(20230001);
  return g;
}

void download_later(std::function<void()> f) {
  std::lock_guard<std::mutex> lock(work_lock);
  downloads.push_back(std::move(f));
}

void upload_later(std::function<void()> f) {
  std::lock_guard<std::mutex> lock(work_lock);
  uploads.push_back(std::move(f));
}

void start() { run(taken(uploads)); }

void count(const std::string &operation) {
  std::lock_guard<std::mutex> lock(count_lock);
  calls++;
  by_name[operation]++;
}

void wait(const std::string &why) {
  {
    std::lock_guard<std::mutex> lock(count_lock);
    waits++;
    by_name["wait: " + why]++;
  }
  run(taken(uploads));
  run(taken(downloads));
}

} // namespace hostcuda

extern "C" {

int hostcuda_install(void) {
  if (at::CUDAHooksRegistry()->Has("CUDAHooks") || c10::impl::device_guard_impl_registry[(size_t)at::kCUDA].load() != nullptr)
    return 0;
  void *p = mmap(nullptr, hostcuda::kArena + hostcuda::kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    return 0;
  hostcuda::arena = reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(p) + hostcuda::kPage - 1) / hostcuda::kPage * hostcuda::kPage);
  madvise(hostcuda::arena, hostcuda::kArena, MADV_HUGEPAGE);
  at::CUDAHooksRegistry()->Register("CUDAHooks", hostcuda::make_hooks);
  c10::impl::device_guard_impl_registry[(size_t)at::kCUDA].store(&hostcuda::guard_impl);
  hostcuda::install_operations();
  return 1;
}

void hostcuda_show(int devices) { hostcuda::shown = devices; }

void hostcuda_counts(int64_t *calls, int64_t *waits) {
  std::lock_guard<std::mutex> lock(hostcuda::count_lock);
  *calls = hostcuda::calls;
  *waits = hostcuda::waits;
}

char *hostcuda_calls(void) {
  std::lock_guard<std::mutex> lock(hostcuda::count_lock);
  std::string text;
  for (const auto &[name, n] : hostcuda::by_name)
    text += std::to_string(n) + "\t" + name + "\n";
  hostcuda::by_name.clear();
  return strdup(text.c_str());
}

} // extern "C"
