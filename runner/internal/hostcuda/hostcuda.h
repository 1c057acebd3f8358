// The functions that hostcuda.go calls, and what the C++ files share.
#ifndef GLMKIT_HOSTCUDA_H
#define GLMKIT_HOSTCUDA_H
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
// 0 where libtorch has a CUDA of its own.
int hostcuda_install(void);
void hostcuda_show(int devices);
void hostcuda_counts(int64_t *calls, int64_t *waits);
// The operations that were called since the last time, a line each; the caller
// frees the text.
char *hostcuda_calls(void);
#ifdef __cplusplus
}

#include <ATen/core/Generator.h>
#include <c10/core/Allocator.h>

#include <functional>
#include <string>

namespace hostcuda {

// Access opens the device's memory to this process while it lives.
struct Access {
  Access();
  ~Access();
};

c10::Allocator *memory();
bool pinned(const void *p);
at::Generator &generator();

// Something that the device does later: when the host waits for it, or asks often
// enough whether it is done (download); or when it is given the next thing to do
// (upload), which starts.
void download_later(std::function<void()> f);
void upload_later(std::function<void()> f);
void start();

// count books that an operation was called, wait that the host waits for all that
// the device has to do.
void count(const std::string &operation);
void wait(const std::string &why);

void install_operations();

} // namespace hostcuda
#endif
#endif
