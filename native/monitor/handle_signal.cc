#include <errno.h>
#include <signal.h>

#include "native/monitor/cgroup_kill.h"
#include "native/monitor/find_entry.h"
#include "native/monitor/monitor.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr int kMaxSignal = 64;

int signal_all(Monitor& monitor, Entry& entry, int signal) {
  const int proc = monitor.pod.proc.get();
  if (!entry.kill_fd) return EOPNOTSUPP;
  if (signal == SIGKILL) {
    kill_cgroup(proc, entry.kill_fd.get());
    return 0;
  }
  const bool procs = is_procs_file(entry.kill_fd.get());
  if (!procs && !entry.procs_fd) return EOPNOTSUPP;
  return signal_cgroup(proc, procs ? entry.kill_fd.get() : entry.procs_fd.get(), signal);
}

}  // namespace

void handle_signal(Monitor& monitor, const PendingReply& from, Message& message) {
  SignalRequest request;
  Entry* entry = find_entry(monitor, from, message, "signal", &request);
  if (entry == nullptr) return;
  if (request.signal < 0 || request.signal > kMaxSignal) {
    return reply_error(monitor, from, EINVAL, "signal", entry->id);
  }
  if (entry->phase == Phase::kExiting || entry->phase == Phase::kExited ||
      entry->phase == Phase::kFailing) {
    return reply_error(monitor, from, ESRCH, "signal", entry->id);
  }
  int code = 0;
  if (request.all != 0) {
    code = signal_all(monitor, *entry, request.signal);
  } else if (sys::pidfd_send_signal(entry->process.pidfd, request.signal) != 0) {
    code = errno;
  }
  if (code != 0) return reply_error(monitor, from, code, "signal", entry->id);
  reply_done(monitor, from);
}

}  // namespace coracle
