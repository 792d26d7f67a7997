// Moves what a container writes on one stream to where it belongs: framed lines in a CRI log,
// raw bytes in a descriptor, or nowhere.
#ifndef CORACLE_NATIVE_MONITOR_LOG_PUMP_H_
#define CORACLE_NATIVE_MONITOR_LOG_PUMP_H_

#include <stddef.h>
#include <stdint.h>

#include "native/monitor/cri_format.h"
#include "native/monitor/log_file.h"
#include "native/monitor/pages.h"
#include "native/monitor/pump_state.h"
#include "native/monitor/raw_copy.h"
#include "native/plan/launch_plan.h"
#include "native/sys/fd.h"

namespace coracle {

// The most that one call of LogPump::pump moves: at 700 MB/s a tenth of a millisecond, which is
// how long a flood may hold up a launch.
inline constexpr size_t kPumpChunk = 64 * 1024;

// Buffers that all pumps of a monitor share, one call at a time.
struct PumpBuffers {
  Pages input{kPumpChunk};
  Pages output{kPumpChunk * 2};
  size_t filled = 0;  // bytes of `input` that the last call has read; 0 for raw copies
  Timestamp timestamp;
  bool used = false;

  void release() {
    input.release();
    output.release();
    filled = 0;
    used = false;
  }
};

class LogPump {
 public:
  // Discards everything until `write_raw` or `write_cri`. Makes the source non-blocking.
  void open(Fd source);
  void write_cri(Stream stream, size_t max_line);
  void write_raw(Fd target);

  // Moves at most kPumpChunk bytes; `file` receives CRI lines. After kEnded the caller closes.
  PumpState pump(PumpBuffers& buffers, LogFile& file);

  // Writes an unfinished CRI line. The stream may go on where other processes hold it.
  void finish_line(PumpBuffers& buffers, LogFile& file);

  void close();

  bool is_open() const { return source_.get() >= 0; }
  int source() const { return source_.get(); }
  int target() const { return raw_.target(); }
  uint64_t moved_bytes() const { return moved_; }
  uint64_t dropped_bytes() const { return raw_.dropped_bytes(); }

 private:
  PumpState pump_cri(PumpBuffers& buffers, LogFile& file);
  PumpState end(PumpBuffers& buffers, LogFile& file);

  Fd source_;
  LogMode mode_ = LogMode::kNone;
  bool grown_ = false;
  uint64_t moved_ = 0;
  CriFramer framer_;
  RawCopy raw_;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_LOG_PUMP_H_
