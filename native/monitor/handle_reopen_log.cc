#include <errno.h>

#include "native/monitor/find_entry.h"
#include "native/monitor/monitor.h"

namespace coracle {

// Both streams write whole lines into the one file, and never between two turns of the loop: the
// switch is a switch of descriptors. An unfinished line stays with its stream and goes into the
// new file.
void handle_reopen_log(Monitor& monitor, const PendingReply& from, Message& message) {
  EntryRequest request;
  Entry* entry = find_entry(monitor, from, message, "reopen log", &request);
  if (entry == nullptr) return;
  if (entry->log_mode != LogMode::kCri) {
    return reply_error(monitor, from, EINVAL, "reopen log", entry->id);
  }
  Fd file = message.fds.take(0);
  if (!file) return reply_error(monitor, from, EBADF, "reopen log", entry->id);
  entry->log.reopen(static_cast<Fd&&>(file));
  reply_done(monitor, from);
}

}  // namespace coracle
