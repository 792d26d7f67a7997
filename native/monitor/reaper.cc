#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/monitor/pod.h"
#include "native/monitor/process_title.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr uint32_t kNobody = 65534;

// Containers of the pod see this process as PID 1 and may look at /proc/1: what they find there
// must be nothing. Each step matters for that, so one that fails ends the process.
bool give_up_everything() {
  if (sys::close_range(0, ~0u) != 0) return false;
  if (mount("none", "/rootfs", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=755") !=
          0 ||
      chdir("/rootfs") != 0 || sys::pivot_root(".", ".") != 0 || umount2(".", MNT_DETACH) != 0 ||
      chdir("/") != 0 ||
      mount(nullptr, "/", nullptr,
            MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    return false;
  }
  if (sys::setgroups(0, nullptr) != 0 || sys::setresgid(kNobody) != 0 ||
      sys::setresuid(kNobody) != 0) {
    return false;
  }
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

[[noreturn]] void reap_forever() {
  set_process_title("coracle-reaper");
  // A change of identity clears the death signal, so it is asked for last.
  if (!give_up_everything() || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) _exit(1);
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  while (true) {
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    // SIGCHLD is blocked, hence never lost between the two calls.
    sigwaitinfo(&children, nullptr);
  }
}

}  // namespace

Error start_reaper(Pod* pod) {
  int pidfd = -1;
  sys::CloneArgs args;
  args.flags = sys::kCloneNewPid | sys::kCloneNewNs | sys::kClonePidfd;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const pid_t pid = sys::clone3(args);
  if (pid < 0) return failed("start reaper");
  if (pid == 0) reap_forever();
  pod->reaper_pid = pid;
  pod->reaper_pidfd.reset(pidfd);
  char path[32];
  snprintf(path, sizeof(path), "%d/ns/pid", pid);
  pod->pod_pidns.reset(openat(pod->proc.get(), path, O_RDONLY | O_CLOEXEC));
  return pod->pod_pidns ? Error{} : failed("open PID namespace", "coracle-reaper");
}

}  // namespace coracle
