// launch(): the part of a launch that runs in the monitor.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/launch/child.h"
#include "native/launch/launch.h"
#include "native/plan/protocol.h"
#include "native/sys/failpoint.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

// More arguments and environment strings than 128 Ki do not fit into the kernel's limit of a
// quarter of the stack (8 MiB) anyway. Pages that no launch has touched cost nothing.
constexpr size_t kPointers = 128 * 1024;
char* pointers[kPointers];

// Makes the PID namespace that the plan asks for the one of the next child.
Error enter_pid_namespace(const PodContext& context, const LaunchPlan& plan, int parent_pidfd,
                          bool* entered) {
  bool target = (plan.flags & kExec) != 0 || plan.pid_mode == PidMode::kTarget;
  bool pod = !target && plan.pid_mode == PidMode::kPod;
  if (!target && !pod) return {};
  int fd = target ? parent_pidfd : context.pod_pidns_fd;
  if (fd < 0) return Error{ESRCH, "join PID namespace", plan.parent.data};
  if (sys::setns(fd, static_cast<int>(sys::kCloneNewPid)) != 0) {
    return failed("join PID namespace", plan.parent.data);
  }
  *entered = true;
  return {};
}

// Whether the next child's PID namespace is another's, because a launch could not return from it.
bool astray = false;

Error return_to_own_pid_namespace(const PodContext& context) {
  astray = sys::setns(context.self_pidns_fd, static_cast<int>(sys::kCloneNewPid)) != 0;
  return astray ? failed("return to own PID namespace") : Error{};
}

bool has_exited(int pidfd) {
  pollfd exit = {pidfd, POLLIN, 0};
  return pidfd >= 0 && poll(&exit, 1, 0) == 1;
}

// What the child alone uses; closed in the monitor after the clone.
struct ChildEnds {
  Fd report, wake, shm;
};
struct MonitorEnds {
  Fd report, wake;
};

Error open_lines(bool parks, ChildEnds* child, MonitorEnds* monitor) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
    return failed("open report line");
  }
  monitor->report = Fd(pair[0]);
  child->report = Fd(pair[1]);
  if (!parks) return {};
  if (pipe2(pair, O_CLOEXEC) != 0) return failed("open wake line");
  child->wake = Fd(pair[0]);
  monitor->wake = Fd(pair[1]);
  return {};
}

// Clones of the monitor's own mounts are made here: once it has a mount namespace of its own, the
// child may clone only what is mounted in that.
Error clone_trees(const PodContext& context, const Program& program, ChildEnds* child) {
  constexpr unsigned kClone = sys::kOpenTreeClone | sys::kAtEmptyPath;
  if (program.has_pod_shm) {
    child->shm = Fd(sys::open_tree(context.shm_fd, "", kClone));
    if (!child->shm) return failed("open pod's /dev/shm");
  }
  return {};
}

void kill_and_reap(int pidfd) {
  sys::pidfd_send_signal(pidfd, SIGKILL);
  siginfo_t info;
  while (waitid(static_cast<idtype_t>(3) /* P_PIDFD */, static_cast<id_t>(pidfd), &info,
                WEXITED | __WALL) != 0 &&
         errno == EINTR) {
  }
}

}  // namespace

Error launch(const PodContext& context, const LaunchPlan& plan, const int* fds, size_t fd_count,
             int parent_pidfd, const int stdio[3], Launched* out) {
  Program program;
  if (fd_count > kMaxFds) return Error{EINVAL, "decode plan", "number of descriptors"};
  if (Error error = decode_program(plan, fd_count, {pointers, kPointers}, &program); !error.ok()) {
    return error;
  }
  // A process that stays outside would hold the host's privileges in a pod that must not.
  const bool user_namespace = context.userns_fd >= 0;
  if (program.joins_user_namespace != user_namespace ||
      program.acts_as_pod_root != user_namespace) {
    return Error{EINVAL, "decode plan", "user namespace"};
  }
  ChildEnds child_ends;
  MonitorEnds monitor_ends;
  bool parks = (plan.flags & kStartAtOnce) == 0;
  if (Error error = open_lines(parks, &child_ends, &monitor_ends); !error.ok()) return error;
  if (Error error = clone_trees(context, program, &child_ends); !error.ok()) return error;

  Child child;
  child.context = &context;
  child.plan = &plan;
  child.program = &program;
  child.fds = fds;
  child.fd_count = fd_count;
  child.parent_pidfd = parent_pidfd;
  child.report_fd = child_ends.report.get();
  child.wake_fd = child_ends.wake.get();
  child.shm_tree = child_ends.shm.get();
  bool terminal = (plan.flags & kTerminal) != 0;
  for (int i = 0; i < 3; ++i) child.stdio[i] = terminal ? -1 : stdio[i];

  int pidfd = -1;
  sys::CloneArgs args;
  args.flags = plan.clone_flags | sys::kClonePidfd | sys::kCloneClearSighand;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  bool exec = (plan.flags & kExec) != 0;
  if (!exec && plan.pid_mode == PidMode::kNew) args.flags |= sys::kCloneNewPid;
  if (plan.into_cgroup != kNoFd) {
    args.flags |= sys::kCloneIntoCgroup;
    args.cgroup = static_cast<uint64_t>(fds[plan.into_cgroup]);
  }

  // Else this process would be one of the container that a launch before it was for.
  if (astray) {
    if (Error error = return_to_own_pid_namespace(context); !error.ok()) return error;
  }
  bool entered = false;
  if (Error error = enter_pid_namespace(context, plan, parent_pidfd, &entered); !error.ok()) {
    return error;
  }
  // No handler of the monitor may run in the child before the child has reset them.
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_BLOCK, &all, &before);
  pid_t pid = sys::clone3(args);
  if (pid == 0) run_child(child);
  Error error = pid < 0 ? failed("clone", plan.id.data) : Error{};
  sigprocmask(SIG_SETMASK, &before, nullptr);
  // A PID namespace whose first process is gone takes no more: the kernel says ENOMEM.
  if (error.code == ENOMEM && entered && has_exited(parent_pidfd)) error.code = ESRCH;

  if (entered) {
    if (Error stuck = return_to_own_pid_namespace(context); !stuck.ok()) {
      if (pid > 0) kill_and_reap(pidfd);
      error = stuck;
    }
  }
  if (error.ok() && sys::failpoint("launch.cloned") != 0) {
    error = failed("clone", plan.id.data);
    kill_and_reap(pidfd);
  }
  if (!error.ok()) {
    if (pidfd >= 0) close(pidfd);
    return error;
  }
  out->pid = pid;
  out->pidfd = pidfd;
  out->wake_fd = monitor_ends.wake.release();
  out->report_fd = monitor_ends.report.release();
  out->terminal_fd = -1;
  return {};
}

}  // namespace coracle
