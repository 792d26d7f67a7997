#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/monitor/clock.h"
#include "native/monitor/monitor.h"
#include "native/monitor/process_state.h"
#include "native/monitor/reply.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

void close_report(Monitor& monitor, Entry& entry) {
  if (!entry.run) unwatch(monitor, Source::kReport, entry.process.report_fd);
  Fd(entry.process.report_fd).reset();
  entry.process.report_fd = -1;
}

void remember_failure(Entry& entry, const Report& report) {
  entry.failure.code = report.code != 0 ? report.code : EIO;
  memcpy(entry.failure.step, report.step, sizeof(report.step));
  memcpy(entry.failure.path, report.path, sizeof(report.path));
  entry.failure.step[sizeof(entry.failure.step) - 1] = 0;
  entry.failure.path[sizeof(entry.failure.path) - 1] = 0;
}

// The child's part ends when its report is seen here: after a seccomp filter is loaded, it asks for
// no time any more. The report of a run is seen long after, so that its last look at the clock
// counts.
LaunchTimes times_of(const Entry& entry, const Report& report, uint64_t now) {
  const uint64_t ready_at = entry.run ? report.prepared_at : now;
  LaunchTimes times;
  times.clone = report.begun_at - entry.asked_at;
  times.cgroup = report.cgroup_ns;
  times.mounts = report.mounts_ns;
  times.process = ready_at - report.begun_at - report.cgroup_ns - report.mounts_ns;
  return times;
}

void parked(Monitor& monitor, Entry& entry, const Report& report) {
  const uint64_t now = monotonic_ns();
  entry.ready_seen = true;
  entry.ready.times = times_of(entry, report, now);
  const uint16_t count = report.group_count < kMaxGroups ? report.group_count : kMaxGroups;
  memcpy(entry.groups, report.groups, count * sizeof(uint32_t));
  entry.ready.pid = static_cast<uint32_t>(entry.process.pid);
  entry.ready.uid = report.uid;
  entry.ready.gid = report.gid;
  entry.ready.warnings = report.warnings;
  entry.ready.group_count = count;
  entry.ready.groups = Bytes{reinterpret_cast<const uint8_t*>(entry.groups),
                             static_cast<uint32_t>(count * sizeof(uint32_t))};
  if (entry.process.terminal_fd >= 0) open_terminal_pump(monitor, entry);
  if (entry.run) return;
  if (entry.start_at_once) {
    entry.started_at = realtime_ns();
    entry.asked_at = now;
    return;
  }
  entry.phase = Phase::kParked;
  reply(monitor, entry.reply, entry.ready);
  entry.reply.wanted = false;
}

// The child has closed its end after it was woken: it has run execve, or is dying. A dying process
// closes its files before it can be waited for, so that only its flags tell; execve clears the one
// that counts before it closes anything.
void woken_child_is_silent(Monitor& monitor, Entry& entry) {
  // A run has ended by now, and what fails before it executes does not end with status 0.
  const bool certain = entry.run && entry.wait_status == 0;
  if (!certain && !has_executed(monitor.pod.proc.get(), entry.process.pid)) {
    return;  // the pidfd tells why
  }
  const bool at_once = entry.phase == Phase::kPreparing;
  const uint64_t exec_ns = monotonic_ns() - entry.asked_at;
  entry.phase = Phase::kRunning;
  if (entry.run) return;  // answered by its end
  if (at_once) {
    entry.ready.exec_ns = exec_ns;
    reply(monitor, entry.reply, entry.ready);
  } else {
    reply(monitor, entry.reply, StartReply{entry.started_at, exec_ns});
  }
  entry.reply.wanted = false;
}

}  // namespace

void handle_report(Monitor& monitor, Entry& entry) {
  static Report report;  // too large for a stack that should stay a page or two
  while (entry.process.report_fd >= 0) {
    switch (read_report(&entry.process, &report)) {
      case ReportResult::kNone:
        return;
      case ReportResult::kReport:
        if (report.kind == ReportKind::kError) {
          remember_failure(entry, report);
          close_report(monitor, entry);
          return fail_launch(monitor, entry);
        }
        if (report.kind == ReportKind::kReady && entry.phase == Phase::kPreparing) {
          parked(monitor, entry, report);
        }
        break;
      case ReportResult::kEnd:
        close_report(monitor, entry);
        if (entry.phase == Phase::kStarting ||
            (entry.phase == Phase::kPreparing && entry.ready_seen)) {
          woken_child_is_silent(monitor, entry);
        }
        return;
    }
  }
}

void fail_launch(Monitor&, Entry& entry) {
  entry.phase = Phase::kFailing;
  sys::pidfd_send_signal(entry.process.pidfd, SIGKILL);
}

}  // namespace coracle
