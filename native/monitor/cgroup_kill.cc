#include "native/monitor/cgroup_kill.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/types.h>
#include <unistd.h>

#include "native/monitor/pages.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

// A turn of the loop ends at most this many processes (some 3 µs each); a signal to all is rare
// and has to reach everyone.
constexpr size_t kKillBatch = 64;
constexpr size_t kAll = 32768;
constexpr int kRounds = 8;

// The processes of a cgroup at one moment.
class PidList {
 public:
  PidList(int proc_fd, int procs_fd, size_t limit) : pages_(limit * sizeof(pid_t)), limit_(limit) {
    char link[32];
    snprintf(link, sizeof(link), "self/fd/%d", procs_fd);
    const Fd fresh(openat(proc_fd, link, O_RDONLY | O_CLOEXEC));
    read_from(fresh ? fresh.get() : procs_fd);
  }

  size_t size() const { return size_; }
  pid_t operator[](size_t place) { return pids()[place]; }
  // Lists of v1 are sorted, those of v2 mostly: the place is guessed before all are looked at.
  bool has(pid_t pid, size_t guess) {
    if (guess < size_ && pids()[guess] == pid) return true;
    for (size_t place = 0; place < size_; ++place) {
      if (pids()[place] == pid) return true;
    }
    return false;
  }

 private:
  pid_t* pids() { return reinterpret_cast<pid_t*>(pages_.data()); }

  // A removed cgroup reads as an error (ENODEV) and has no processes.
  void read_from(int file) {
    if (pids() == nullptr) return;
    char text[4096];
    off_t offset = 0;
    pid_t pid = 0;
    for (ssize_t count; (count = pread(file, text, sizeof(text), offset)) > 0; offset += count) {
      for (ssize_t place = 0; place < count; ++place) {
        if (text[place] >= '0' && text[place] <= '9') {
          pid = pid * 10 + (text[place] - '0');
          continue;
        }
        // A process that this PID namespace can't name is listed as 0.
        if (pid > 0 && size_ < limit_) pids()[size_++] = pid;
        pid = 0;
      }
    }
  }

  Pages pages_;
  size_t limit_;
  size_t size_ = 0;
};

// Signals the first `limit` processes, and only those that are still in the cgroup once a pidfd
// holds them: a number alone may have passed to a stranger meanwhile. Returns how many were found.
size_t signal_listed(int proc_fd, int procs_fd, size_t limit, int signal, int* error) {
  PidList before(proc_fd, procs_fd, limit);
  int pidfds[kKillBatch];
  for (size_t from = 0; from < before.size(); from += kKillBatch) {
    const size_t left = before.size() - from;
    const size_t count = left < kKillBatch ? left : kKillBatch;
    for (size_t place = 0; place < count; ++place) {
      pidfds[place] = sys::pidfd_open(before[from + place], 0);
    }
    PidList still(proc_fd, procs_fd, kAll);
    for (size_t place = 0; place < count; ++place) {
      const Fd pidfd(pidfds[place]);
      if (!pidfd || !still.has(before[from + place], from + place)) continue;
      if (sys::pidfd_send_signal(pidfd.get(), signal) != 0 && errno != ESRCH) *error = errno;
    }
  }
  return before.size();
}

}  // namespace

bool is_procs_file(int kill_fd) { return (fcntl(kill_fd, F_GETFL) & O_ACCMODE) == O_RDONLY; }

CgroupKill kill_cgroup(int proc_fd, int kill_fd) {
  if (!is_procs_file(kill_fd)) {
    while (write(kill_fd, "1", 1) < 0 && errno == EINTR) {
    }
    return CgroupKill::kDone;  // ENODEV: the cgroup is gone
  }
  int error = 0;
  for (int round = 0; round < kRounds; ++round) {
    const size_t found = signal_listed(proc_fd, kill_fd, kKillBatch, SIGKILL, &error);
    if (found == 0) return CgroupKill::kDone;
    if (found < kKillBatch) break;  // gives them time to die
  }
  return PidList(proc_fd, kill_fd, 1).size() == 0 ? CgroupKill::kDone : CgroupKill::kRetry;
}

int signal_cgroup(int proc_fd, int procs_fd, int signal) {
  int error = 0;
  return signal_listed(proc_fd, procs_fd, kAll, signal, &error) == 0 ? ESRCH : error;
}

}  // namespace coracle
