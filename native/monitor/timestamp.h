// RFC 3339 time with nine decimals in UTC, as CRI log lines begin with it.
#ifndef CORACLE_NATIVE_MONITOR_TIMESTAMP_H_
#define CORACLE_NATIVE_MONITOR_TIMESTAMP_H_

#include <stddef.h>
#include <stdint.h>

namespace coracle {

inline constexpr size_t kTimestampSize = 30;  // "2026-11-22T08:00:00.123456789Z"

// Keeps the text of the last second that it wrote: consecutive stamps mostly share it, and the
// calendar arithmetic is the dear part.
class Timestamp {
 public:
  // Formats `ns` since the epoch. The text has kTimestampSize bytes and no NUL; it stays valid
  // until the next call. Years 1970 to 9999.
  const char* format(uint64_t ns);

 private:
  uint64_t second_ = UINT64_MAX;
  char text_[kTimestampSize] = {};
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_TIMESTAMP_H_
