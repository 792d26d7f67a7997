// What a fuzzed monitor finds in place of a host: children that never run a program, a pod without
// namespaces, and a PID namespace in which no process is anybody else's.
#ifndef CORACLE_TEST_FUZZ_MONITOR_WORLD_H_
#define CORACLE_TEST_FUZZ_MONITOR_WORLD_H_

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <list>
#include <utility>

#include "native/launch/decode.h"
#include "native/launch/launch.h"
#include "native/monitor/pod.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle::fuzz {

// A launched process as the fuzzer drives it: what it would hold itself is held here.
struct Child {
  pid_t pid = 0;
  Fd pidfd;
  Fd report;  // SOCK_SEQPACKET, the other end of Launched::report_fd
  Fd wake;
  Fd stdio[3];

  // Returns once the monitor can see the death.
  void die() {
    sys::pidfd_send_signal(pidfd.get(), SIGKILL);
    pollfd dead{pidfd.get(), POLLIN, 0};
    poll(&dead, 1, 10'000);
    let_go();
  }
  void let_go() {
    report.reset();
    wake.reset();
    for (Fd& end : stdio) end.reset();
  }
};

inline std::list<Child> children;

inline constexpr size_t kMaxChildren = 16;
inline constexpr size_t kChildStack = 4096;
alignas(16) inline char child_stacks[kMaxChildren][kChildStack];

// Shares this process's memory and descriptors: it does nothing but be there to be killed. Its
// signals are all blocked, so that none but SIGKILL and SIGSTOP reach it.
__attribute__((no_sanitize("address", "undefined", "coverage"))) inline int be_there(void*) {
  for (;;) syscall(SYS_pause);
}

inline pid_t start_child(int* pidfd) {
  sigset_t all, before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  constexpr int kFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_PIDFD | SIGCHLD;
  char* stack = child_stacks[children.size() % kMaxChildren];
  const pid_t pid = clone(be_there, stack + kChildStack, kFlags, nullptr, pidfd);
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return pid;
}

// A directory on a file system of its own, for exit records.
inline int make_directory() {
  const Fd fs(sys::fsopen("tmpfs"));
  if (sys::fsconfig(fs.get(), sys::kFsconfigCreate, nullptr, nullptr) != 0) return -1;
  const Fd mount(sys::fsmount(fs.get(), 0));
  return openat(mount.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

// Goes on in a PID namespace, as its first process: a monitor that is misled signals processes by
// number, and must find none but its own. False without root.
inline bool leave_host() {
  if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) != 0) return false;
  const pid_t pid = fork();
  if (pid < 0) return false;
  if (pid > 0) {
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  // The leak check reads /proc by its own numbers.
  return mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0;
}

}  // namespace coracle::fuzz

// These take the place of what native/launch, native/monitor and the C library have.
namespace coracle {

Error launch(const PodContext&, const LaunchPlan& plan, const int*, size_t fd_count,
             int parent_pidfd, const int stdio[3], Launched* out) {
  static char* slots[4096];
  Program program;
  if (fd_count > kMaxFds) return Error{EINVAL, "decode plan", "number of descriptors"};
  Error error = decode_program(plan, fd_count, {slots, 4096}, &program);
  if (!error.ok()) return error;
  if ((plan.flags & kExec) != 0 && parent_pidfd < 0) return Error{ESRCH, "find container", ""};
  if (fuzz::children.size() == fuzz::kMaxChildren) return Error{EAGAIN, "clone", ""};
  int report[2], wake[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) != 0) return failed("socket");
  if ((plan.flags & kStartAtOnce) == 0 && pipe2(wake, O_CLOEXEC) != 0) return failed("pipe");
  const pid_t pid = fuzz::start_child(&out->pidfd);
  if (pid < 0) return failed("clone");
  fuzz::Child& child = fuzz::children.emplace_back();
  child.pid = out->pid = pid;
  child.pidfd = Fd(fcntl(out->pidfd, F_DUPFD_CLOEXEC, 3));
  child.report = Fd(report[1]);
  child.wake = Fd(wake[0]);
  out->report_fd = report[0];
  out->wake_fd = wake[1];
  for (int place = 0; place < 3; ++place) {
    if (stdio[place] >= 0) child.stdio[place] = Fd(fcntl(stdio[place], F_DUPFD_CLOEXEC, 3));
  }
  return {};
}

Error prepare_pod(uint32_t unshare_flags, Pod* pod) {
  pod->prepared = true;
  pod->unshared = unshare_flags;
  return {};
}

Error make_pod(const SandboxRequest& request, FdList& fds, Pod* pod) {
  if (fds.at(0) < 0 || fds.at(1) < 0) return Error{EINVAL, "make sandbox", ""};
  pod->exit_dir = fds.take(1);
  struct stat info {};
  if (fstat(pod->exit_dir.get(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return Error{ENOTDIR, "open exit directory", ""};
  }
  if ((request.flags & kSharedPid) != 0) {
    int pidfd = -1;
    pod->reaper_pid = fuzz::start_child(&pidfd);
    if (pod->reaper_pid < 0) return failed("start reaper");
    pod->reaper_pidfd.reset(pidfd);
    fuzz::Child& child = fuzz::children.emplace_back();
    child.pid = pod->reaper_pid;
    child.pidfd = Fd(fcntl(pidfd, F_DUPFD_CLOEXEC, 3));
  }
  // There is no /proc: then a child that closes its report line has run its program.
  pod->made = true;
  return {};
}

}  // namespace coracle

// The kernel loads modules for families that it does not know.
extern "C" int socket(int domain, int type, int protocol) {
  if (domain == AF_UNIX) return static_cast<int>(syscall(SYS_socket, domain, type, protocol));
  errno = EAFNOSUPPORT;
  return -1;
}

#endif  // CORACLE_TEST_FUZZ_MONITOR_WORLD_H_
