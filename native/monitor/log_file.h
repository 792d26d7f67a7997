// The CRI log file of a container: both streams write whole lines into it.
#ifndef CORACLE_NATIVE_MONITOR_LOG_FILE_H_
#define CORACLE_NATIVE_MONITOR_LOG_FILE_H_

#include <stddef.h>
#include <stdint.h>

#include "native/monitor/pages.h"
#include "native/sys/fd.h"

namespace coracle {

// Never blocks its caller on a full disk: what can't be written is dropped and counted. A line
// that a short write has cut is kept and completed before anything else is written, so that no
// two lines are ever glued together.
class LogFile {
 public:
  // Takes the descriptor. `max_line` is the longest line in bytes, frame and newline included.
  void open(Fd fd, size_t max_line);

  // Writes framed lines; `size` bytes that end with a newline. Without a file they are dropped
  // without being counted.
  void write(const char* lines, size_t size);

  // Continues in another file, at a line boundary. The old file is given the rest of its cut
  // line if it takes it now; what it does not take counts as dropped.
  void reopen(Fd fd);

  void close();

  bool is_open() const { return fd_.get() >= 0; }
  uint64_t dropped_bytes() const { return dropped_; }

 private:
  bool complete_cut_line();
  size_t write_some(const char* bytes, size_t size);

  Fd fd_;
  Pages rest_;  // of the line that a short write cut
  size_t rest_from_ = 0;
  size_t rest_size_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_LOG_FILE_H_
