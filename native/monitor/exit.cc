#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "native/monitor/cgroup_kill.h"
#include "native/monitor/clock.h"
#include "native/monitor/exit_record_file.h"
#include "native/monitor/monitor.h"
#include "native/monitor/process_state.h"
#include "native/monitor/reply.h"
#include "native/sys/failpoint.h"

namespace coracle {
namespace {

// What may hold up the announcement of an exit: processes of the cgroup that don't die, others
// that go on writing into the log.
constexpr uint64_t kAnnounceLimit = 2 * kNanosPerSecond;
constexpr uint64_t kDrainLimit = 8 * 1024 * 1024;  // bytes of each stream

constexpr uint64_t kKillPause = kNanosPerMilli;
constexpr uint64_t kLingerPause = 100 * kNanosPerMilli;

// One turn drains for this long, then clients have theirs.
constexpr uint64_t kTurnLimit = 300'000;

void retry_in(Monitor& monitor, uint64_t delay) {
  const uint64_t at = monotonic_ns() + delay;
  if (monitor.retry_at == 0 || at < monitor.retry_at) monitor.retry_at = at;
}

// A tracer may keep the process: then it is reaped when that lets go, and nobody waits for it. It
// has to be: the first process of a PID namespace does not end before all others of it are reaped.
void reap_entry(Monitor& monitor, Entry& entry) {
  if (reap(entry.process.pidfd)) return;
  ++monitor.unreaped;
  retry_in(monitor, kLingerPause);
}

bool is_watched(Monitor& monitor, pid_t pid) {
  bool found = pid == monitor.pod.reaper_pid;
  monitor.entries.each(
      [&](Entry& entry) { found = found || (entry.alive() && entry.process.pid == pid); });
  return found;
}

// One that is watched is reaped in its turn, and others behind it the next time.
void reap_released(Monitor& monitor) {
  while (monitor.unreaped != 0) {
    const pid_t pid = ended_child();
    if (pid == 0 || is_watched(monitor, pid)) return retry_in(monitor, kLingerPause);
    waitpid(pid, nullptr, WNOHANG | __WALL);
    --monitor.unreaped;
  }
}

bool kill_rest(Monitor& monitor, Entry& entry) {
  if (!entry.cgroup_done) {
    entry.cgroup_done =
        kill_cgroup(monitor.pod.proc.get(), entry.kill_fd.get()) == CgroupKill::kDone;
  }
  return entry.cgroup_done;
}

bool has_live_exec(Monitor& monitor, const Entry& container) {
  bool found = false;
  monitor.entries.each([&](Entry& entry) {
    found = found || (entry.exec && entry.alive() && strcmp(entry.parent, container.id) == 0);
  });
  return found;
}

// Moves what the pipes hold, within the turn's limit. True once both are empty or not worth
// waiting for.
bool drain(Monitor& monitor, Entry& entry, uint64_t turn_ends) {
  for (int stream = 0; stream < 2; ++stream) {
    LogPump& pump = entry.pumps[stream];
    while (pump.is_open()) {
      if (pump.moved_bytes() - entry.drained_from[stream] > kDrainLimit) break;
      const PumpState state = pump_stream(monitor, entry, stream);
      if (state == PumpState::kEnded) close_stream(monitor, pump);
      if (state != PumpState::kMore) break;
      const uint64_t now = monotonic_ns();
      if (now > entry.announce_by) return true;
      if (now > turn_ends) return false;
    }
  }
  return true;
}

void save_record(Monitor& monitor, Entry& entry) {
  ExitRecord record;
  record.wait_status = entry.wait_status;
  record.pid = static_cast<uint32_t>(entry.process.pid);
  record.started_at = entry.started_at;
  record.finished_at = entry.finished_at;
  record.dropped_bytes = entry.dropped_bytes();
  entry.record_owed = !write_exit_record(monitor.pod.exit_dir.get(), entry.id, record);
}

void send_exit(Monitor& monitor, const Entry& entry) {
  uint8_t body[512];
  Writer writer(body, sizeof(body));
  encode(writer, entry.status());
  send_event(monitor, MessageType::kExit, body, writer.size());
}

void answer_run(Monitor& monitor, Entry& entry) {
  reply(monitor, entry.reply,
        RunReply{entry.wait_status, entry.ready.times, monotonic_ns() - entry.asked_at});
  entry.reply.wanted = false;
}

// The order is a guarantee: log, record, event, and only then the pid may be used again.
void announce(Monitor& monitor, Entry& entry) {
  for (LogPump& pump : entry.pumps) {
    if (pump.is_open()) pump.finish_line(monitor.buffers, entry.log);
  }
  end_clients(monitor, entry);
  const bool started = entry.started_at != 0;
  if (!entry.exec && started) save_record(monitor, entry);
  entry.phase = Phase::kExited;
  sys::failpoint("exit.announce");
  if (!entry.run) send_exit(monitor, entry);
  sys::failpoint("exit.reap");
  reap_entry(monitor, entry);
  entry.close_process();
  if (entry.run) answer_run(monitor, entry);
}

bool has_more_to_do(const Entry& entry) {
  return entry.end_unknown || entry.phase == Phase::kExiting ||
         (entry.phase == Phase::kExited && (!entry.cgroup_done || entry.record_owed));
}

void continue_exit(Monitor& monitor, Entry& entry, uint64_t turn_ends) {
  if (entry.end_unknown) return handle_process(monitor, entry);
  if (entry.phase == Phase::kExited) {
    const bool killed = kill_rest(monitor, entry);
    if (entry.record_owed) save_record(monitor, entry);
    if (!killed || entry.record_owed) retry_in(monitor, kLingerPause);
    return;
  }
  const bool patient = monotonic_ns() < entry.announce_by;
  const bool killed = kill_rest(monitor, entry);
  const bool kills = entry.kill_cgroup_on_exit && !entry.exec;
  if (patient && (!killed || (kills && has_live_exec(monitor, entry)))) {
    return retry_in(monitor, kKillPause);
  }
  if (!drain(monitor, entry, turn_ends)) return retry_in(monitor, 0);
  announce(monitor, entry);
  if (entry.deleting || entry.run) {
    release_entry(monitor, entry);
  } else if (has_more_to_do(entry)) {
    retry_in(monitor, kLingerPause);
  }
}

void begin_exit(Monitor& monitor, Entry& entry) {
  const uint64_t now = realtime_ns();
  entry.finished_at = now > entry.started_at ? now : entry.started_at;
  entry.phase = Phase::kExiting;
  entry.announce_by = monotonic_ns() + kAnnounceLimit;
  // A child that never ran has left nothing, and its container may be launched once more: Linux
  // 6.18 kills what is cloned into a cgroup whose cgroup.kill was ever written (cgroup_post_fork).
  entry.cgroup_done = !entry.kill_cgroup_on_exit || entry.started_at == 0;
  for (int stream = 0; stream < 2; ++stream) {
    entry.drained_from[stream] = entry.pumps[stream].moved_bytes();
  }
  continue_exit(monitor, entry, monotonic_ns() + kTurnLimit);
}

void answer_failure(Monitor& monitor, Entry& entry, const ExitStatus& status) {
  Failure& failure = entry.failure;
  if (failure.code == 0) {
    failure.code = ECANCELED;
    const char* during = entry.ready_seen ? "exec" : "launch";
    if ((status.wait_status & 0x7f) != 0) {
      snprintf(failure.step, sizeof(failure.step), "killed by signal %d during %s",
               status.wait_status & 0x7f, during);
    } else {
      snprintf(failure.step, sizeof(failure.step), "ended with status %d during %s",
               status.wait_status >> 8, during);
    }
  }
  reply_error(monitor, entry.reply, failure.code, failure.step, failure.path);
  entry.reply.wanted = false;
}

}  // namespace

void handle_process(Monitor& monitor, Entry& entry) {
  ExitStatus status;
  // The descriptor says that it has ended.
  entry.end_unknown = !read_exit_status(entry.process.pidfd, &status) &&
                      !read_traced_exit_status(monitor.pod.proc.get(), entry.process.pid, &status);
  unwatch(monitor, Source::kProcess, entry.process.pidfd);
  if (entry.end_unknown) return retry_in(monitor, kLingerPause);
  entry.wait_status = status.wait_status;
  handle_report(monitor, entry);  // its last words, if they were not read yet
  if (entry.phase == Phase::kRunning || entry.phase == Phase::kParked) {
    return begin_exit(monitor, entry);
  }
  // It never ran: reaped and forgotten, before the answer lets the caller clean up after it.
  if (!entry.exec) remove_exit_record(monitor.pod.exit_dir.get(), entry.id);
  reap_entry(monitor, entry);
  answer_failure(monitor, entry, status);
  release_entry(monitor, entry);
}

void release_entry(Monitor& monitor, Entry& entry) {
  for (LogPump& pump : entry.pumps) {
    if (!pump.is_open()) continue;
    pump.finish_line(monitor.buffers, entry.log);
    close_stream(monitor, pump);
  }
  end_clients(monitor, entry);
  unwatch(monitor, Source::kReport, entry.process.report_fd);
  const PendingReply deleted_by = entry.delete_reply;
  if (entry.deleting && !entry.exec) remove_exit_record(monitor.pod.exit_dir.get(), entry.id);
  monitor.entries.remove(&entry);
  reply_done(monitor, deleted_by);
}

void continue_exits(Monitor& monitor) {
  if (monitor.retry_at == 0 || monotonic_ns() < monitor.retry_at) return;
  monitor.retry_at = 0;
  const uint64_t turn_ends = monotonic_ns() + kTurnLimit;
  monitor.entries.each([&](Entry& entry) {
    if (has_more_to_do(entry)) continue_exit(monitor, entry, turn_ends);
  });
  reap_released(monitor);
}

}  // namespace coracle
