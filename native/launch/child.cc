#include "native/launch/child.h"

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/launch/descriptors.h"
#include "native/launch/dispatch.h"
#include "native/launch/report.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr int kFailedExit = 127;

// Ignored signals stay ignored across execve(2), and CLONE_CLEAR_SIGHAND leaves them: of those,
// launch() lets its caller have one.
void reset_signals() {
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

Error prepare(const Child& child) {
  // A death of the monitor before this call shows when the child reports that it is ready.
  if (Error error = guard(); !error.ok()) return error;
  prctl(PR_SET_NAME, "coracle-launch", 0, 0, 0);
  if (Error error = drop_foreign_descriptors(child); !error.ok()) return error;
  reset_signals();
  umask(0);
  if (setsid() < 0) return failed("start session");
  // Keyrings have no namespace: with the monitor's session keyring the container would possess
  // its keys. A kernel without keyrings has none to leak, and an outer sandbox that refuses the
  // call refuses all other uses of them, too.
  if (sys::join_new_session_keyring() < 0 && errno != ENOSYS && errno != EPERM) {
    return failed("join session keyring");
  }
  if (Error error = install_stdio(child); !error.ok()) return error;
  if ((child.plan->clone_flags & sys::kCloneNewNs) != 0 &&
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return failed("make mounts private");
  }
  return {};
}

// What mounts nothing, or over what make_target() has opened.
bool keeps_parent(Op op) {
  return op == Op::kMount || op == Op::kBind || op == Op::kPodShm || op == Op::kImageMount ||
         op == Op::kMknod || op == Op::kSymlink;
}

}  // namespace

// A monitor that dies takes its processes along, ready or running: nobody else could log their
// output or tell how they ended. execve(2) makes the program dumpable again, and clears the death
// signal of a set-user-ID one: the server ends that by its cgroup.
Error guard() {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return failed("set death signal");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return failed("clear dumpable flag");
  return {};
}

void settle(Child& child) {
  if (child.settled) return;
  child.settled = true;
  umask(child.umask);
  drop_used_descriptors(child);
}

void run_child(Child& child) {
  child.clock.begin(child.report);
  Error error = prepare(child);
  if (error.ok()) {
    error = for_each_step(*child.plan, [&](uint32_t index, Op op, Bytes payload) {
      child.report.step_index = index;
      child.report.op = op;
      child.clock.enter(op, child.report);
      if (!keeps_parent(op)) child.parent.forget();
      return dispatch(op, payload, [&](const auto& step) { return run(step, child); });
    });
  }
  report_error(child, error);
  _exit(kFailedExit);
}

}  // namespace coracle
