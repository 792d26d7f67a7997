// The two clocks of the monitor, in nanoseconds.
#ifndef CORACLE_NATIVE_MONITOR_CLOCK_H_
#define CORACLE_NATIVE_MONITOR_CLOCK_H_

#include <stdint.h>
#include <time.h>

namespace coracle {

inline constexpr uint64_t kNanosPerSecond = 1'000'000'000;
inline constexpr uint64_t kNanosPerMilli = 1'000'000;

inline uint64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNanosPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

// For what users see: start, finish and log times.
inline uint64_t realtime_ns() { return read_clock(CLOCK_REALTIME); }

// For deadlines: a stepped wall clock must not move them.
inline uint64_t monotonic_ns() { return read_clock(CLOCK_MONOTONIC); }

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_CLOCK_H_
