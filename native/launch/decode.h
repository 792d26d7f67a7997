// The check of a whole plan before anything is cloned.
#ifndef CORACLE_NATIVE_LAUNCH_DECODE_H_
#define CORACLE_NATIVE_LAUNCH_DECODE_H_

#include "native/plan/steps.h"
#include "native/sys/error.h"

namespace coracle {

inline constexpr uint32_t kMaxSteps = 4096;
inline constexpr size_t kMaxPath = 4096;     // PATH_MAX, with the NUL
inline constexpr uint32_t kMaxLowers = 500;  // OVL_MAX_STACK of fs/overlayfs
inline constexpr size_t kMaxModule = 32;     // of a security module's name

// Room for the pointers of argv and envp, given by the caller.
struct PointerArena {
  char** slots = nullptr;
  size_t capacity = 0;
};

// What the child needs to know ahead of the steps. Strings point into the message.
struct Program {
  char** argv = nullptr;  // NULL-terminated, at least one entry
  char** envp = nullptr;  // NULL-terminated
  // The last place of envp, NULL so far: $HOME goes here. Null where `env` has HOME already.
  char** home_slot = nullptr;
  const char* search_path = nullptr;  // value of PATH, or null
  Str created_cwd;                    // path of a Cwd step with `create`; empty: none
  bool has_pod_shm = false;
  bool acts_as_pod_root = false;
  bool joins_user_namespace = false;
};

// Checks the plan as a whole and fills `out`. What it promises to the child: every step is known
// and decodes exactly; every descriptor index names one of `fd_count` descriptors, and a mount is
// used once; lists hold as many items as they say; paths are absolute, of bounded size and, where
// they may be created, without ".."; there is one root and one pivot_root (or, for an exec, one
// JoinNamespaces into a mount namespace) before anything that needs it; Execve is the last step
// and the only one. Fails with EINVAL, or E2BIG for more arguments than the arena takes; the
// error's path says which rule was broken.
Error decode_program(const LaunchPlan& plan, size_t fd_count, PointerArena arena, Program* out);

// Calls `each(index, op, payload)` for every step until one fails. The framing of a plan that has
// passed decode_program is sound.
template <typename Each>
Error for_each_step(const LaunchPlan& plan, Each&& each) {
  Reader reader(plan.steps.data, plan.steps.size);
  for (uint32_t index = 0; index < plan.step_count; ++index) {
    Op op{};
    Bytes payload;
    reader(op);
    reader(payload);
    if (!reader.ok()) return Error{EINVAL, "decode plan", "step list cut short"};
    if (Error error = each(index, op, payload); !error.ok()) return error;
  }
  if (!reader.done()) return Error{EINVAL, "decode plan", "bytes after the last step"};
  return {};
}

// Calls `each(string)` for every string of a list; false unless it holds exactly `count`.
template <typename Each>
bool for_each_string(Bytes list, uint32_t count, Each&& each) {
  Reader reader(list.data, list.size);
  for (uint32_t i = 0; i < count; ++i) {
    Str item;
    reader(item);
    if (!reader.ok()) return false;
    if (!each(item)) return false;
  }
  return reader.done();
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_DECODE_H_
