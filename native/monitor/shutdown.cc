#include <errno.h>
#include <signal.h>

#include "native/monitor/cgroup_kill.h"
#include "native/monitor/clock.h"
#include "native/monitor/monitor.h"
#include "native/monitor/process_state.h"
#include "native/monitor/reply.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

// How long killed processes may take before the monitor ends without them: one that hangs in the
// kernel can't be waited for.
constexpr uint64_t kShutdownLimit = 10 * kNanosPerSecond;

}  // namespace

void kill_entry(Monitor& monitor, Entry& entry) {
  if (!entry.alive()) return;
  if (entry.phase != Phase::kExiting) sys::pidfd_send_signal(entry.process.pidfd, SIGKILL);
  if (entry.kill_fd && entry.kill_cgroup_on_exit && entry.started_at != 0) {
    kill_cgroup(monitor.pod.proc.get(), entry.kill_fd.get());
  }
}

void handle_shutdown(Monitor& monitor, const PendingReply& from) {
  if (monitor.shutdown_reply.wanted) {
    return reply_error(monitor, from, EALREADY, "shut down");
  }
  monitor.shutdown_reply = from;
  begin_shutdown(monitor);
}

void begin_shutdown(Monitor& monitor) {
  if (monitor.shutting_down) return;
  monitor.shutting_down = true;
  monitor.shutdown_by = monotonic_ns() + kShutdownLimit;
  monitor.entries.each([&](Entry& entry) { kill_entry(monitor, entry); });
  if (monitor.pod.reaper_pidfd) sys::pidfd_send_signal(monitor.pod.reaper_pidfd.get(), SIGKILL);
}

void continue_shutdown(Monitor& monitor) {
  if (!monitor.shutting_down || monitor.done) return;
  bool left = static_cast<bool>(monitor.pod.reaper_pidfd);
  monitor.entries.each([&](Entry& entry) { left = left || entry.alive(); });
  if (left && monotonic_ns() < monitor.shutdown_by) return;
  if (left) {
    reply_error(monitor, monitor.shutdown_reply, ETIMEDOUT, "end processes");
  } else {
    reply_done(monitor, monitor.shutdown_reply);
  }
  monitor.done = true;
}

// The kernel has killed every process of the shared PID namespace with it; their exits are seen
// one by one. What is launched into it from now on fails.
void handle_reaper_exit(Monitor& monitor) {
  ExitStatus status;
  if (!read_exit_status(monitor.pod.reaper_pidfd.get(), &status)) return;
  unwatch(monitor, Source::kReaper, monitor.pod.reaper_pidfd.get());
  reap(monitor.pod.reaper_pidfd.get());
  monitor.pod.reaper_pidfd.reset();
  monitor.pod.pod_pidns.reset();
  monitor.pod.context.pod_pidns_fd = -1;
  monitor.pod.reaper_pid = 0;
}

}  // namespace coracle
