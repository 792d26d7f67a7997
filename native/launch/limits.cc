// Rlimit, Umask.
#include <errno.h>
#include <sys/resource.h>

#include "native/launch/child.h"
#include "native/plan/protocol.h"

namespace coracle {

// The kernel's struct has 64-bit fields everywhere; so has rlim_t of both C libraries on the
// architectures we build for.
static_assert(sizeof(rlim_t) == sizeof(uint64_t));

Error run(const Rlimit& step, Child& child) {
  rlimit wanted = {step.soft, step.hard};
  // The parameter type differs: glibc has an enum of its own for C++.
  auto resource = static_cast<decltype(RLIMIT_CPU)>(step.resource);
  if (setrlimit(resource, &wanted) == 0) return {};
  if (errno != EPERM || step.clamp == 0) return failed("set resource limit");
  // Also RLIMIT_NOFILE above the sysctl fs.nr_open, which no privilege overrides.
  rlimit current;
  if (getrlimit(resource, &current) != 0) return failed("set resource limit");
  if (wanted.rlim_max > current.rlim_max) wanted.rlim_max = current.rlim_max;
  if (wanted.rlim_cur > wanted.rlim_max) wanted.rlim_cur = wanted.rlim_max;
  if (setrlimit(resource, &wanted) != 0) return failed("set resource limit");
  child.report.warnings |= kRlimitClamped;
  return {};
}

Error run(const Umask& step, Child& child) {
  child.umask = step.mask;
  return {};
}

}  // namespace coracle
