#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "native/monitor/clock.h"
#include "native/monitor/find_entry.h"
#include "native/monitor/monitor.h"
#include "native/sys/failpoint.h"

namespace coracle {
namespace {

// An exec may have waited long since its launch; its container must still run.
bool parent_runs(Monitor& monitor, const Entry& entry) {
  if (!entry.exec) return true;
  const Str id{entry.parent, static_cast<uint32_t>(strlen(entry.parent))};
  const Entry* parent = monitor.entries.find(id);
  return parent != nullptr && parent->phase == Phase::kRunning && !parent->deleting;
}

// The log of an entry that was launched without one comes with its start.
bool take_log(Message& message, Entry& entry) {
  if (entry.log_mode != LogMode::kCri || entry.log.is_open()) return true;
  Fd file = message.fds.take(0);
  if (!file) return false;
  entry.log.open(std::move(file), kMaxLine + kFrameSize);
  return true;
}

}  // namespace

void handle_start(Monitor& monitor, const PendingReply& from, Message& message) {
  EntryRequest request;
  Entry* entry = find_entry(monitor, from, message, "start", &request);
  if (entry == nullptr) return;
  if (entry->phase == Phase::kStarting || entry->phase == Phase::kRunning ||
      (entry->phase == Phase::kPreparing && entry->start_at_once)) {
    return reply_error(monitor, from, EALREADY, "start", entry->id);
  }
  if (entry->phase == Phase::kPreparing)
    return reply_error(monitor, from, EAGAIN, "start", entry->id);
  if (entry->phase != Phase::kParked || entry->deleting) {
    return reply_error(monitor, from, ESRCH, "start", entry->id);
  }
  if (!parent_runs(monitor, *entry)) {
    return reply_error(monitor, from, ESRCH, "find container", entry->parent);
  }
  if (const int fault = sys::failpoint("start.wake")) {
    return reply_error(monitor, from, fault, "start", entry->id);
  }
  if (!take_log(message, *entry)) return reply_error(monitor, from, EBADF, "open log", entry->id);
  entry->phase = Phase::kStarting;
  entry->reply = from;
  entry->started_at = realtime_ns();
  entry->asked_at = monotonic_ns();
  // A child that is gone by now is noticed through its pidfd.
  (void)!write(entry->process.wake_fd, "", 1);
  Fd(entry->process.wake_fd).reset();
  entry->process.wake_fd = -1;
}

}  // namespace coracle
