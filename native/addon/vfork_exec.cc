#include "native/addon/vfork_exec.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/addon/raw_syscall.h"

namespace coracle {
namespace {

constexpr size_t kStackSize = 64 * 1024;
constexpr int kSignals = 64;
// Where descriptors wait while 0 to 3 are filled, clear of those places.
constexpr int kParkFrom = 10;

// The kernel's struct sigaction, for rt_sigaction(2). All zero is SIG_DFL.
struct KernelSigaction {
  unsigned long handler, flags, restorer, mask;
};

// Written by the child, in the memory it shares with the suspended parent.
struct ChildRun {
  const ExecRequest* request;
  int dev_null;
  int code = 0;  // errno of the step that failed; 0 once execve has succeeded
  const char* step = "";
};

long fail(ChildRun* run, const char* step, long result) {
  run->step = step;
  run->code = static_cast<int>(-result);
  return result;
}

// Handlers are gone (CLONE_CLEAR_SIGHAND), but what Node ignores, SIGPIPE, stays ignored over an
// exec unless it is reset here.
void reset_signals() {
  const KernelSigaction defaults = {};
  for (int number = 1; number <= kSignals; number++) {
    raw_syscall(SYS_rt_sigaction, number, raw_arg(&defaults), 0, 8);
  }
  const unsigned long none = 0;
  raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, raw_arg(&none), 0, 8);
}

// Moves the wanted descriptors to 0..3. They are duplicated out of the way first, since a wanted
// one may sit in a place that another one is to take.
long place_fds(const ExecRequest& request, int dev_null) {
  long parked[ExecRequest::kMaxFds];
  for (int place = 0; place < ExecRequest::kMaxFds; place++) {
    const int from = request.fds[place] >= 0 ? request.fds[place] : dev_null;
    parked[place] = raw_syscall(SYS_fcntl, from, F_DUPFD_CLOEXEC, kParkFrom);
    if (parked[place] < 0) return parked[place];
  }
  for (int place = 0; place < ExecRequest::kMaxFds; place++) {
    const bool keep = place < 3 || request.fds[place] >= 0;
    const long result = raw_syscall(SYS_dup3, parked[place], place, keep ? 0 : O_CLOEXEC);
    if (result < 0) return result;
  }
  // Other threads open descriptors without O_CLOEXEC now and then; none of them may leak.
  // close_range(2) is Linux 5.9, its CLOSE_RANGE_CLOEXEC 5.11.
  return raw_syscall(SYS_close_range, ExecRequest::kMaxFds, ~0U, 1U << 2);
}

int child_main(void* argument) {
  ChildRun* run = static_cast<ChildRun*>(argument);
  const ExecRequest& request = *run->request;
  raw_syscall(SYS_setsid);
  long result = 0;
  if (request.cwd != nullptr) {
    result = raw_syscall(SYS_chdir, raw_arg(request.cwd));
    if (result < 0) return fail(run, "chdir", result), 127;
  }
  // The executable's descriptor moves away from 0..3, too.
  int file_fd = request.file_fd;
  if (file_fd >= 0) {
    file_fd = static_cast<int>(raw_syscall(SYS_fcntl, file_fd, F_DUPFD_CLOEXEC, kParkFrom));
    if (file_fd < 0) return fail(run, "prepare descriptors", file_fd), 127;
  }
  result = place_fds(request, run->dev_null);
  if (result < 0) return fail(run, "prepare descriptors", result), 127;
  if (request.listen) {
    result = raw_syscall(SYS_listen, 3, SOMAXCONN);
    if (result < 0) return fail(run, "listen", result), 127;
  }
  reset_signals();
  result = file_fd >= 0 ? raw_syscall(SYS_execveat, file_fd, raw_arg(""), raw_arg(request.argv),
                                      raw_arg(request.env), AT_EMPTY_PATH)
                        : raw_syscall(SYS_execve, raw_arg(request.file), raw_arg(request.argv),
                                      raw_arg(request.env));
  return fail(run, "exec", result), 127;
}

}  // namespace

int reap_child(int pidfd) {
  siginfo_t info = {};
  // P_PIDFD, Linux 5.4; __WALL because the child's exit signal is not SIGCHLD.
  const int result =
      waitid(static_cast<idtype_t>(3), static_cast<id_t>(pidfd), &info, WEXITED | WNOHANG | __WALL);
  if (result != 0 || info.si_pid == 0) return -1;
  return info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status;
}

Failure vfork_exec(const ExecRequest& request, Child* child) {
  const std::string name = request.file == nullptr ? "" : request.file;
  Fd dev_null(open("/dev/null", O_RDWR | O_CLOEXEC));
  if (!dev_null) return system_failure("open", "/dev/null");
  // A stack of its own: the child must not write into the frames its parent returns to.
  void* stack = mmap(nullptr, kStackSize, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack == MAP_FAILED) return system_failure("allocate a stack", name);

  ChildRun run{&request, dev_null.get()};
  int pidfd = -1;
  clone_args args = {};
  args.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.stack = reinterpret_cast<uint64_t>(stack);
  args.stack_size = kStackSize;

  // No signal handler of Node may run in the child, on its parent's memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const long pid = raw_clone3(&args, sizeof(args), child_main, &run);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  munmap(stack, kStackSize);

  if (pid < 0) return Failure{static_cast<int>(-pid), "clone", name};
  Fd owned(pidfd);
  if (run.code != 0) {
    reap_child(owned.get());
    const bool about_cwd = request.cwd != nullptr && std::string(run.step) == "chdir";
    return Failure{run.code, run.step, about_cwd ? request.cwd : name};
  }
  child->pid = static_cast<pid_t>(pid);
  child->pidfd = std::move(owned);
  return {};
}

}  // namespace coracle
