#include "native/monitor/process_state.h"

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

void reap(int pidfd) {
  siginfo_t info{};
  waitid(static_cast<idtype_t>(kPidfd), static_cast<id_t>(pidfd), &info,
         WEXITED | WNOHANG | kWaitAll);
}

bool has_executed(int proc_fd, pid_t pid) {
  char path[32];
  snprintf(path, sizeof(path), "%d/stat", pid);
  const Fd file(openat(proc_fd, path, O_RDONLY | O_CLOEXEC));
  char text[512];
  const ssize_t size = file ? read(file.get(), text, sizeof(text) - 1) : -1;
  if (size <= 0) return true;
  text[size] = 0;
  // The name in field 2 may hold anything but ends at the last parenthesis; flags are field 9.
  const char* at = strrchr(text, ')');
  for (int field = 2; at != nullptr && field < 9; ++field) at = strchr(at + 1, ' ');
  return at == nullptr || (strtoul(at, nullptr, 10) & kForkedWithoutExec) == 0;
}

}  // namespace coracle
