// Capabilities: what the program may do.
#include <errno.h>
#include <sys/prctl.h>

#include "native/launch/child.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr int kMaxCapability = 63;  // bits of a mask; the kernel knows 41 of them today

// Drops what is not in `keep` and returns all that the kernel knows.
Error limit_bounding_set(uint64_t keep, uint64_t* known) {
  for (int capability = 0; capability <= kMaxCapability; ++capability) {
    uint64_t bit = uint64_t{1} << capability;
    int held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0);
    if (held < 0) return {};  // the first number that the kernel lacks
    *known |= bit;
    if (held == 0 || (keep & bit) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) return failed("limit capabilities");
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
  uint64_t known = 0;
  if (Error error = limit_bounding_set(step.bounding, &known); !error.ok()) return error;

  // A process can only give up: capabilities that the monitor itself lacks, as in a restricted
  // host, are left out of a "privileged" plan rather than failing it.
  sets.permitted = step.permitted & held;
  sets.effective = step.effective & sets.permitted;
  sets.inheritable = step.inheritable & known & (held | sets.inheritable);
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
