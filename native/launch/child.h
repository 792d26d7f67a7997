// The cloned child: walks the steps of a plan and becomes the program.
#ifndef CORACLE_NATIVE_LAUNCH_CHILD_H_
#define CORACLE_NATIVE_LAUNCH_CHILD_H_

#include "native/launch/decode.h"
#include "native/launch/launch.h"
#include "native/launch/resolve.h"
#include "native/launch/step_clock.h"
#include "native/plan/steps.h"

namespace coracle {

// State of the one child of this address space. Descriptors that live until execve are plain
// numbers: before it parks, the child closes everything but stdio and its two lines.
struct Child {
  const PodContext* context = nullptr;
  const LaunchPlan* plan = nullptr;
  const Program* program = nullptr;
  const int* fds = nullptr;
  size_t fd_count = 0;
  int parent_pidfd = -1;
  int stdio[3] = {-1, -1, -1};

  int report_fd = -1;
  int wake_fd = -1;                 // -1 with kStartAtOnce
  int shm_tree = -1;                // detached clone of the pod's /dev/shm
  int empty_tree = -1;              // the empty tmpfs over masked directories, once there is one
  int null_device = -1;             // the container's, checked, once a file was masked
  int root = -1;                    // the container's root, once there is one
  uint32_t fs_uid = 0, fs_gid = 0;  // to whom belongs what the child makes; the host's ids
  uint32_t umask = 022;             // of the program; the steps run with 0
  bool settled = false;
  ParentDirectory parent;  // of what was made last

  Report report;  // what the steps find out: ids and warnings
  StepClock clock;
  char home[5 + 512] = {};

  bool exec() const { return (plan->flags & kExec) != 0; }
  int fd(FdIndex index) const { return fds[index]; }
};

// Never returns. Runs in a fresh address space with every signal blocked.
[[noreturn]] void run_child(Child& child);

// Takes back what the steps need but would change the program, the umask of 0, and closes what they
// needed. Before a seccomp filter is loaded, which may forbid the calls, or else before parking.
// The parent death signal stays: a program ends with its monitor.
void settle(Child& child);

// Has the child die with its monitor, and keeps processes that share its PID namespace from reading
// or tracing it while it still is the monitor's image and holds the host's descriptors. A change
// of identity takes back both, prctl(2): the kernel then sets the dumpable flag to what the sysctl
// fs.suid_dumpable says, which may be 1 (proc_sys_fs(5)).
Error guard();

// Makes every permitted capability effective again, after a change of identity that has emptied
// or cut the effective set.
Error restore_capabilities();

// Opens the terminal of stdio again where the program finds it, after a copy of the mounts was
// taken: ttyname(3) goes by the path that /proc/self/fd has for it. Without /dev/pts all stays as
// it is.
Error reopen_terminal(const Child& child);

// The steps, in the order of Op. Each does exactly what its struct in native/plan/steps.h says.
Error run(const JoinCgroup& step, Child& child);
Error run(const Unshare& step, Child& child);
Error run(const JoinNamespaces& step, Child& child);
Error run(const Hostname& step, Child& child);
Error run(const Overlay& step, Child& child);
Error run(const RootBind& step, Child& child);
Error run(const Mount& step, Child& child);
Error run(const Bind& step, Child& child);
Error run(const PodShm& step, Child& child);
Error run(const Mkdir& step, Child& child);
Error run(const Mknod& step, Child& child);
Error run(const Symlink& step, Child& child);
Error run(const Console& step, Child& child);
Error run(const Pivot& step, Child& child);
Error run(const Mask& step, Child& child);
Error run(const ReadonlyPath& step, Child& child);
Error run(const Sysctl& step, Child& child);
Error run(const Rlimit& step, Child& child);
Error run(const OomScoreAdj& step, Child& child);
Error run(const User& step, Child& child);
Error run(const Capabilities& step, Child& child);
Error run(const NoNewPrivs& step, Child& child);
Error run(const Seccomp& step, Child& child);
Error run(const Cwd& step, Child& child);
Error run(const Umask& step, Child& child);
Error run(const ImageMount& step, Child& child);
Error run(const LsmProfile& step, Child& child);
Error run(const ActAsPodRoot& step, Child& child);
Error run(const JoinUserNamespace& step, Child& child);
// Reports kReady, parks, and replaces the process; returns only on failure.
Error run(const Execve& step, Child& child);

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_CHILD_H_
