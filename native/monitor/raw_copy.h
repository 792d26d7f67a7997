// Raw bytes from a pipe or terminal to a file, socket, pipe or terminal, without ever blocking.
#ifndef CORACLE_NATIVE_MONITOR_RAW_COPY_H_
#define CORACLE_NATIVE_MONITOR_RAW_COPY_H_

#include <stddef.h>
#include <stdint.h>

#include "native/monitor/pages.h"
#include "native/monitor/pump_state.h"
#include "native/sys/fd.h"

namespace coracle {

class RawCopy {
 public:
  struct Result {
    PumpState state;
    size_t moved;
  };

  // Takes the descriptor. Sockets and pipes are made non-blocking, which whoever shares them
  // sees, too.
  void open(Fd target);

  // Moves at most `limit` bytes with splice(2), or through a buffer where the target does not
  // take it (EINVAL: a file opened with O_APPEND, a terminal). A target that fails (EPIPE,
  // ENOSPC) is let go of; the source is drained on and the bytes count as dropped.
  Result copy(int source, size_t limit);

  void close();

  int target() const { return target_.get(); }
  uint64_t dropped_bytes() const { return dropped_; }

 private:
  Result splice_some(int source, size_t limit);
  Result copy_through_buffer(int source, size_t limit);
  PumpState write_pending();
  void fail(size_t lost);

  Fd target_;
  bool buffered_ = false;
  Pages pending_;  // read, but not yet taken by the target
  size_t pending_from_ = 0;
  size_t pending_size_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_RAW_COPY_H_
