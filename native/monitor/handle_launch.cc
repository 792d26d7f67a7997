#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <utility>

#include "native/monitor/cgroup_kill.h"
#include "native/monitor/clock.h"
#include "native/monitor/exit_record_file.h"
#include "native/monitor/monitor.h"
#include "native/monitor/reply.h"

namespace coracle {
namespace {

// An exec, or a process in a target's PID namespace, needs its parent to be running now.
Error find_parent(Monitor& monitor, const LaunchPlan& plan, Entry** out) {
  *out = nullptr;
  if ((plan.flags & kExec) == 0 && plan.pid_mode != PidMode::kTarget) return {};
  Entry* parent = is_valid_id(plan.parent) ? monitor.entries.find(plan.parent) : nullptr;
  if (parent == nullptr || parent->phase != Phase::kRunning || parent->deleting) {
    return Error{ESRCH, "find container", plan.parent.data};
  }
  *out = parent;
  return {};
}

Error take_cgroup(const LaunchPlan& plan, FdList& fds, Entry& entry) {
  entry.kill_cgroup_on_exit = (plan.flags & kKillCgroupOnExit) != 0;
  if (plan.kill_cgroup == kNoFd) {
    return entry.kill_cgroup_on_exit ? Error{EINVAL, "open cgroup", ""} : Error{};
  }
  const int fd = fds.at(plan.kill_cgroup);
  entry.kill_fd.reset(fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1);
  if (!entry.kill_fd) return Error{EBADF, "open cgroup", ""};
  const int directory = fds.at(plan.into_cgroup);
  if (directory >= 0 && !is_procs_file(entry.kill_fd.get())) {
    entry.procs_fd.reset(openat(directory, "cgroup.procs", O_RDONLY | O_CLOEXEC));
  }
  return {};
}

Error launch_entry(Monitor& monitor, const LaunchPlan& plan, FdList& fds, Entry& entry) {
  Entry* parent = nullptr;
  Error error = find_parent(monitor, plan, &parent);
  if (!error.ok()) return error;
  int stdio[3];
  Fd child_ends[3];
  error = open_stdio(plan, fds, entry, stdio, child_ends);
  if (error.ok()) error = take_cgroup(plan, fds, entry);
  if (!error.ok()) return error;
  const int parent_pidfd = parent != nullptr ? parent->process.pidfd : -1;
  // Those of the message, and for a run the container's cgroups.
  int all[kMaxFds + JoinedCgroups::kMost];
  size_t count = fds.size();
  memcpy(all, fds.data(), count * sizeof(int));
  if (entry.run) {
    if (!parent->cgroups.are_those_of(plan)) return Error{ESTALE, "join cgroup", ""};
    count += parent->cgroups.copy_to(all + count);
  }
  error = launch(monitor.pod.context, plan, all, count, parent_pidfd, stdio, &entry.process);
  if (error.ok() && !entry.exec) entry.cgroups.keep(plan, fds);
  return error;
}

}  // namespace

void handle_launch(Monitor& monitor, const PendingReply& from, Message& message) {
  const uint64_t now = monotonic_ns();
  LaunchPlan plan;
  if (!decode(message.body, plan)) return reply_error(monitor, from, EINVAL, "decode launch plan");
  if (!is_valid_id(plan.id)) return reply_error(monitor, from, EINVAL, "launch", plan.id.data);
  if (!monitor.pod.made) return reply_error(monitor, from, ENOTCONN, "launch", plan.id.data);
  if (monitor.shutting_down) return reply_error(monitor, from, ESHUTDOWN, "launch", plan.id.data);
  const bool run = from.type == MessageType::kRun;
  constexpr uint32_t kFlagsOfRuns = kExec | kStartAtOnce;
  if (run && (plan.flags & (kFlagsOfRuns | kTerminal)) != kFlagsOfRuns) {
    return reply_error(monitor, from, EINVAL, "run", plan.id.data);
  }
  if (monitor.entries.find(plan.id) != nullptr) {
    return reply_error(monitor, from, EEXIST, "launch", plan.id.data);
  }
  Entry* entry = monitor.entries.add(plan.id);
  if (entry == nullptr) return reply_error(monitor, from, ENOMEM, "launch", plan.id.data);
  if (is_valid_id(plan.parent)) memcpy(entry->parent, plan.parent.data, plan.parent.size);
  entry->exec = (plan.flags & kExec) != 0;
  entry->start_at_once = (plan.flags & kStartAtOnce) != 0;
  entry->run = run;
  if (run) entry->started_at = realtime_ns();
  entry->reply = from;
  entry->asked_at = now;
  const Error error = launch_entry(monitor, plan, message.fds, *entry);
  if (!error.ok()) {
    monitor.entries.remove(entry);
    return reply_error(monitor, from, error.code, error.step, error.path);
  }
  // While the child prepares itself, so that it costs the launch nothing.
  if (!entry->exec) reserve_exit_record(monitor.pod.exit_dir.get(), entry->id);
  watch_process(monitor, *entry);
  watch_streams(monitor, *entry);
}

}  // namespace coracle
