// The two clocks of the monitor, in nanoseconds.
#ifndef CORACLE_NATIVE_MONITOR_CLOCK_H_
#define CORACLE_NATIVE_MONITOR_CLOCK_H_

#include <stdint.h>

#include "native/sys/clock.h"

namespace coracle {

inline constexpr uint64_t kNanosPerSecond = sys::kNanosPerSecond;
inline constexpr uint64_t kNanosPerMilli = 1'000'000;

// For what users see: start, finish and log times.
inline uint64_t realtime_ns() { return sys::read_clock(CLOCK_REALTIME); }

// For deadlines and durations: a stepped wall clock must not move them.
inline uint64_t monotonic_ns() { return sys::read_clock(CLOCK_MONOTONIC); }

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_CLOCK_H_
