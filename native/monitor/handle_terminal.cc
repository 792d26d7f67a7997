#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <utility>

#include "native/monitor/find_entry.h"
#include "native/monitor/monitor.h"

namespace coracle {

// Hands out the pty master. Where no log is kept its new holder is the only reader; until then
// the output is discarded, so that a container without a client does not stall.
void handle_terminal(Monitor& monitor, const PendingReply& from, Message& message) {
  EntryRequest request;
  Entry* entry = find_entry(monitor, from, message, "open terminal", &request);
  if (entry == nullptr) return;
  if (entry->process.terminal_fd < 0) {
    return reply_error(monitor, from, ENOTTY, "open terminal", entry->id);
  }
  Fd master(fcntl(entry->process.terminal_fd, F_DUPFD_CLOEXEC, 3));
  if (!master) return reply_error(monitor, from, errno, "open terminal", entry->id);
  if (entry->log_mode == LogMode::kNone && entry->pumps[0].is_open()) {
    close_stream(monitor, entry->pumps[0]);
  }
  reply_done(monitor, from, std::move(master));
}

void handle_resize(Monitor& monitor, const PendingReply& from, Message& message) {
  ResizeRequest request;
  Entry* entry = find_entry(monitor, from, message, "resize terminal", &request);
  if (entry == nullptr) return;
  if (entry->process.terminal_fd < 0) {
    return reply_error(monitor, from, ENOTTY, "resize terminal", entry->id);
  }
  winsize size{};
  size.ws_row = request.rows;
  size.ws_col = request.cols;
  if (ioctl(entry->process.terminal_fd, TIOCSWINSZ, &size) != 0) {
    return reply_error(monitor, from, errno, "resize terminal", entry->id);
  }
  reply_done(monitor, from);
}

}  // namespace coracle
