// The CRI log format: "<time> <stdout|stderr> <F|P> <content>\n", one line of output each.
//
// The kubelet's log reader defines the format (kubernetes design proposal "kubelet CRI logging"):
// P marks a piece of a line that goes on in the next one, F its end or a whole line.
#ifndef CORACLE_NATIVE_MONITOR_CRI_FORMAT_H_
#define CORACLE_NATIVE_MONITOR_CRI_FORMAT_H_

#include <stddef.h>
#include <stdint.h>

#include "native/monitor/pages.h"
#include "native/monitor/timestamp.h"

namespace coracle {

enum class Stream : uint8_t { kStdout = 0, kStderr = 1 };

inline constexpr size_t kMinLine = 16;
inline constexpr size_t kMaxLine = 64 * 1024;
inline constexpr size_t kFrameSize = kTimestampSize + sizeof(" stdout F \n") - 1;

// Where framed lines are collected: one buffer, flushed with whole lines only.
class LineSink {
 public:
  using Flush = void (*)(void* context, const char* lines, size_t size);
  LineSink(char* buffer, size_t capacity, Flush flush, void* context)
      : buffer_(buffer), capacity_(capacity), flush_(flush), context_(context) {}

  // Space for one more line of `size` bytes, at most the capacity. All of it must be filled.
  char* line(size_t size) {
    if (capacity_ - used_ < size) flush();
    char* place = buffer_ + used_;
    used_ += size;
    return place;
  }
  void flush() {
    if (used_ != 0) flush_(context_, buffer_, used_);
    used_ = 0;
  }

 private:
  char* buffer_;
  size_t capacity_;
  size_t used_ = 0;
  Flush flush_;
  void* context_;
};

// Frames one stream. The result depends on the bytes alone, not on how reads cut them. A newline
// or "\r\n" ends a line and is not part of it.
class CriFramer {
 public:
  // `max_line`: bytes of content in a line, kept within kMinLine and kMaxLine; longer lines are
  // split, every piece but the last tagged P. A sink must hold max_line + kFrameSize bytes.
  void open(Stream stream, size_t max_line);

  // Frames what was read at `stamp` (of Timestamp::format). An unfinished line is kept.
  void feed(const char* stamp, const char* bytes, size_t size, LineSink& sink);

  // Writes the unfinished line, tagged P: the stream has ended without a newline.
  void finish(const char* stamp, LineSink& sink);

  size_t max_line() const { return max_line_; }
  void release();

 private:
  void end_line(const char* stamp, const char* bytes, size_t size, LineSink& sink);
  void keep(const char* stamp, const char* bytes, size_t size, LineSink& sink);
  void put(const char* stamp, char tag, const char* head, size_t head_size, const char* tail,
           size_t tail_size, LineSink& sink) const;

  Stream stream_ = Stream::kStdout;
  size_t max_line_ = 0;
  Pages kept_;  // the unfinished line: at most max_line bytes and a CR whose LF may follow
  size_t kept_size_ = 0;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_CRI_FORMAT_H_
