#include "native/monitor/cgroup_kill.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr int kBatch = 64;
constexpr int kRounds = 8;

struct PidList {
  pid_t pids[kBatch];
  int count = 0;

  bool has(pid_t pid) const {
    for (int place = 0; place < count; ++place) {
      if (pids[place] == pid) return true;
    }
    return false;
  }
};

// kBatch processes of a list after the first `skip`; none where it can't be read, which is what
// happens once the cgroup is removed (ENODEV).
PidList read_procs(int proc_fd, int procs_fd, int skip) {
  PidList list;
  char link[32];
  snprintf(link, sizeof(link), "self/fd/%d", procs_fd);
  const Fd fresh(openat(proc_fd, link, O_RDONLY | O_CLOEXEC));
  const int file = fresh.get() >= 0 ? fresh.get() : procs_fd;
  char text[4096];
  off_t offset = 0;
  pid_t pid = 0;
  while (list.count < kBatch) {
    const ssize_t size = pread(file, text, sizeof(text), offset);
    if (size <= 0) break;
    offset += size;
    for (ssize_t place = 0; place < size && list.count < kBatch; ++place) {
      if (text[place] >= '0' && text[place] <= '9') {
        pid = pid * 10 + (text[place] - '0');
        continue;
      }
      // A process of another PID namespace is listed as 0.
      if (pid > 0 && skip-- <= 0) list.pids[list.count++] = pid;
      pid = 0;
    }
  }
  return list;
}

// Signals the processes of a batch, and only those that are still in the cgroup after a pidfd
// holds them: a number alone may have passed to a stranger meanwhile.
int signal_batch(int proc_fd, int procs_fd, const PidList& batch, int skip, int signal) {
  int pidfds[kBatch];
  for (int place = 0; place < batch.count; ++place) {
    pidfds[place] = sys::pidfd_open(batch.pids[place], 0);
  }
  const PidList still = read_procs(proc_fd, procs_fd, skip);
  int error = 0;
  for (int place = 0; place < batch.count; ++place) {
    const Fd pidfd(pidfds[place]);
    if (pidfd.get() < 0 || !still.has(batch.pids[place])) continue;
    if (sys::pidfd_send_signal(pidfd.get(), signal) != 0 && errno != ESRCH) {
      error = errno;
    }
  }
  return error;
}

}  // namespace

bool is_procs_file(int kill_fd) { return (fcntl(kill_fd, F_GETFL) & O_ACCMODE) == O_RDONLY; }

CgroupKill kill_cgroup(int proc_fd, int kill_fd) {
  if (!is_procs_file(kill_fd)) {
    while (write(kill_fd, "1", 1) < 0 && errno == EINTR) {
    }
    return CgroupKill::kDone;  // ENODEV: the cgroup is gone
  }
  for (int round = 0; round < kRounds; ++round) {
    const PidList batch = read_procs(proc_fd, kill_fd, 0);
    if (batch.count == 0) return CgroupKill::kDone;
    signal_batch(proc_fd, kill_fd, batch, 0, SIGKILL);
    if (batch.count < kBatch) break;  // gives them time to die
  }
  return read_procs(proc_fd, kill_fd, 0).count == 0 ? CgroupKill::kDone : CgroupKill::kRetry;
}

int signal_cgroup(int proc_fd, int procs_fd, int signal) {
  int reached = 0;
  int error = 0;
  while (true) {
    const PidList batch = read_procs(proc_fd, procs_fd, reached);
    if (batch.count == 0) break;
    const int failure = signal_batch(proc_fd, procs_fd, batch, reached, signal);
    if (failure != 0) error = failure;
    reached += batch.count;
  }
  return reached == 0 ? ESRCH : error;
}

}  // namespace coracle
