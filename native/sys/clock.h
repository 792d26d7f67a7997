// Reading a clock of the kernel, in nanoseconds.
#ifndef CORACLE_NATIVE_SYS_CLOCK_H_
#define CORACLE_NATIVE_SYS_CLOCK_H_

#include <stdint.h>
#include <time.h>

namespace coracle::sys {

inline constexpr uint64_t kNanosPerSecond = 1'000'000'000;

inline uint64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNanosPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace coracle::sys

#endif  // CORACLE_NATIVE_SYS_CLOCK_H_
