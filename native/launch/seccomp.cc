// NoNewPrivs, Seccomp.
#include <errno.h>
#include <sys/prctl.h>

#include "native/launch/child.h"
#include "native/sys/syscalls.h"

namespace coracle {

Error run(const NoNewPrivs&, Child&) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return failed("set no_new_privs");
  return {};
}

Error run(const Seccomp& step, Child& child) {
  settle(child);
  constexpr uint32_t kInstruction = 8;  // sizeof(struct sock_filter)
  auto count = static_cast<uint16_t>(step.program.size / kInstruction);
  if (sys::seccomp_filter(step.program.data, count, step.flags) != 0) {
    return failed("load seccomp filter");
  }
  return {};
}

}  // namespace coracle
