// Capabilities: what the program may do.
#include <errno.h>
#include <sys/prctl.h>

#include "native/launch/child.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr int kMaxCapability = 63;  // bits of a mask; the kernel knows 41 of them today

// Drops what is not in `keep`. To ask first what is held would be a call for each number; only a
// process that may drop nothing has to know.
Error limit_bounding_set(uint64_t keep) {
  for (int capability = 0; capability <= kMaxCapability; ++capability) {
    if ((keep >> capability & 1) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) return {};  // the first number that the kernel lacks
    Error error = failed("limit capabilities");
    if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) != 0) return error;
  }
  return {};
}

}  // namespace

Error restore_capabilities() {
  sys::CapabilitySets sets;
  if (sys::capget(&sets) != 0) return failed("read capabilities");
  sets.effective = sets.permitted;
  if (sys::capset(sets) != 0) return failed("set capabilities");
  return {};
}

Error run(const Capabilities& step, Child&) {
  sys::CapabilitySets sets;
  if (sys::capget(&sets) != 0) return failed("read capabilities");
  const uint64_t held = sets.permitted;
  if (Error error = limit_bounding_set(step.bounding); !error.ok()) return error;

  // A process can only give up: capabilities that the monitor itself lacks, as in a restricted
  // host, are left out of a "privileged" plan rather than failing it.
  sets.permitted = step.permitted & held;
  sets.effective = step.effective & sets.permitted;
  sets.inheritable = step.inheritable & (held | sets.inheritable);
  // The old permitted set covers the new inheritable one here, so that this one call is enough.
  if (sys::capset(sets) != 0) return failed("set capabilities");

  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return failed("clear ambient capabilities");
  }
  // Ambient ones must be permitted and inheritable, capabilities(7).
  const uint64_t ambient = step.ambient & sets.permitted & sets.inheritable;
  for (int capability = 0; capability <= kMaxCapability; ++capability) {
    if ((ambient >> capability & 1) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) {
      return failed("raise ambient capabilities");
    }
  }
  return {};
}

}  // namespace coracle
