#include "native/monitor/process_state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/sys/fd.h"

namespace coracle {
namespace {

// Not in every C library's headers; values of <linux/wait.h>.
constexpr int kPidfd = 3;                           // P_PIDFD
constexpr int kWaitAll = 0x40000000;                // __WALL
constexpr unsigned long kForkedWithoutExec = 0x40;  // PF_FORKNOEXEC

// The fields of /proc/PID/stat from the third one on (proc_pid_stat(5)).
class Stat {
 public:
  Stat(int proc_fd, pid_t pid) {
    char path[32];
    snprintf(path, sizeof(path), "%d/stat", pid);
    const Fd file(openat(proc_fd, path, O_RDONLY | O_CLOEXEC));
    const ssize_t size = file ? read(file.get(), text_, sizeof(text_) - 1) : -1;
    text_[size > 0 ? size : 0] = 0;
  }

  // Null where there is none.
  const char* field(int number) const {
    // The name in field 2 may hold anything but ends at the last parenthesis.
    const char* at = strrchr(text_, ')');
    for (int field = 2; at != nullptr && field < number; ++field) at = strchr(at + 1, ' ');
    return at == nullptr ? nullptr : at + 1;
  }

 private:
  char text_[2048];
};

int32_t status_of(int32_t raw) { return (raw & 0x7f) == 0 ? raw & 0xff00 : raw & 0x7f; }

// Of what is not for this process to know, /proc shows zeros.
bool may_know(int proc_fd, pid_t pid) {
  char path[32], link[1];
  snprintf(path, sizeof(path), "%d/cwd", pid);
  return readlinkat(proc_fd, path, link, sizeof(link)) >= 0 || errno == ENOENT;
}

}  // namespace

bool read_exit_status(int pidfd, ExitStatus* status) {
  siginfo_t info{};
  if (waitid(static_cast<idtype_t>(kPidfd), static_cast<id_t>(pidfd), &info,
             WEXITED | WNOHANG | WNOWAIT | kWaitAll) != 0 ||
      info.si_pid == 0) {
    return false;
  }
  status->wait_status =
      info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
  return true;
}

bool read_traced_exit_status(int proc_fd, pid_t pid, ExitStatus* status) {
  const Stat stat(proc_fd, pid);
  const char* state = stat.field(3);
  const char* exit_code = stat.field(52);
  if (state == nullptr || *state != 'Z' || exit_code == nullptr) return false;
  if (!may_know(proc_fd, pid)) return false;
  status->wait_status = status_of(atoi(exit_code));
  return true;
}

bool reap(int pidfd) {
  siginfo_t info{};
  return waitid(static_cast<idtype_t>(kPidfd), static_cast<id_t>(pidfd), &info,
                WEXITED | WNOHANG | kWaitAll) != 0 ||
         info.si_pid != 0;
}

pid_t ended_child() {
  siginfo_t info{};
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | kWaitAll) != 0) return 0;
  return info.si_pid;
}

bool has_executed(int proc_fd, pid_t pid) {
  const char* flags = Stat(proc_fd, pid).field(9);
  return flags == nullptr || (strtoul(flags, nullptr, 10) & kForkedWithoutExec) == 0;
}

}  // namespace coracle
