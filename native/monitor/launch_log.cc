#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "native/monitor/monitor.h"
#include "native/sys/failpoint.h"

namespace coracle {
namespace {

// The descriptor at `index`, as one of our own: several fields of a plan may name the same.
Fd duplicate(const FdList& fds, FdIndex index) {
  const int fd = fds.at(index);
  return fd >= 0 ? Fd(fcntl(fd, F_DUPFD_CLOEXEC, 3)) : Fd();
}

Error open_log(const Log& log, bool parks, const FdList& fds, Entry& entry) {
  entry.log_mode = log.mode;
  entry.max_line = log.max_line;
  if (log.mode == LogMode::kNone || log.mode == LogMode::kRaw) return {};
  if (log.mode != LogMode::kCri) return Error{EINVAL, "open log", ""};
  if (log.stdout_fd == kNoFd && parks) return {};  // kStart brings it
  if (sys::failpoint("log.open") != 0) return failed("open log");
  Fd file = duplicate(fds, log.stdout_fd);
  if (!file) return Error{EINVAL, "open log", ""};
  entry.log.open(std::move(file), kMaxLine + kFrameSize);
  return {};
}

Error open_log_pipe(const Log& log, const FdList& fds, Stream stream, Entry& entry, Fd* child_end) {
  Fd target;
  if (log.mode == LogMode::kRaw) {
    target = duplicate(fds, stream == Stream::kStdout ? log.stdout_fd : log.stderr_fd);
  }
  // Without a place to write to, /dev/null discards for nothing.
  const bool discard = log.mode == LogMode::kNone || (log.mode == LogMode::kRaw && !target);
  if (discard && !entry.attachable) return {};
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return failed("make log pipe");
  LogPump& pump = entry.pumps[static_cast<int>(stream)];
  pump.open(Fd(ends[0]));
  child_end->reset(ends[1]);
  if (log.mode == LogMode::kCri) pump.write_cri(stream, log.max_line);
  if (log.mode == LogMode::kRaw && target) pump.write_raw(std::move(target));
  return {};
}

Error open_held_stdin(Entry& entry, Fd* child_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return failed("make stdin pipe");
  child_end->reset(ends[0]);
  entry.stdin_end.reset(ends[1]);
  return {};
}

}  // namespace

Error open_stdio(const LaunchPlan& plan, FdList& fds, Entry& entry, int stdio[3],
                 Fd child_ends[3]) {
  const Stdio* const wanted[3] = {&plan.stdin_, &plan.stdout_, &plan.stderr_};
  stdio[0] = stdio[1] = stdio[2] = -1;
  entry.attachable = (plan.flags & kAttachable) != 0;
  entry.stdin_once = (plan.flags & kStdinOnce) != 0;
  Error error = open_log(plan.log, (plan.flags & kStartAtOnce) == 0, fds, entry);
  if (!error.ok()) return error;
  if ((plan.flags & kTerminal) != 0) {
    if (plan.log.mode == LogMode::kRaw) entry.raw_terminal = duplicate(fds, plan.log.stdout_fd);
    return {};
  }
  if ((plan.flags & kHoldStdin) != 0) {
    if (plan.stdin_.mode != StdioMode::kNull) return Error{EINVAL, "set up stdin", ""};
    error = open_held_stdin(entry, &child_ends[0]);
    if (!error.ok()) return error;
    stdio[0] = child_ends[0].get();
  }
  for (int place = 0; place < 3; ++place) {
    switch (wanted[place]->mode) {
      case StdioMode::kNull:
        break;
      case StdioMode::kFd:
        stdio[place] = fds.at(wanted[place]->fd);
        if (stdio[place] < 0) return Error{EBADF, "set up stdio", ""};
        break;
      case StdioMode::kLog:
        if (place == 0) return Error{EINVAL, "set up stdin", ""};
        error = open_log_pipe(plan.log, fds, place == 1 ? Stream::kStdout : Stream::kStderr, entry,
                              &child_ends[place]);
        if (!error.ok()) return error;
        stdio[place] = child_ends[place].get();
        break;
      default:
        return Error{EINVAL, "set up stdio", ""};
    }
  }
  return {};
}

void open_terminal_pump(Monitor& monitor, Entry& entry) {
  Fd master(fcntl(entry.process.terminal_fd, F_DUPFD_CLOEXEC, 3));
  if (!master) return;
  LogPump& pump = entry.pumps[0];
  pump.open(std::move(master));
  if (entry.log_mode == LogMode::kCri) pump.write_cri(Stream::kStdout, entry.max_line);
  if (entry.log_mode == LogMode::kRaw && entry.raw_terminal) {
    pump.write_raw(std::move(entry.raw_terminal));
  }
  watch_streams(monitor, entry);
}

}  // namespace coracle
