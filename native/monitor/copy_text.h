// memcpy for the lengths that log lines have. The C library of the static build starts a string
// instruction for each copy, which costs more than a line of 100 bytes is worth.
#ifndef CORACLE_NATIVE_MONITOR_COPY_TEXT_H_
#define CORACLE_NATIVE_MONITOR_COPY_TEXT_H_

#include <stddef.h>
#include <string.h>

namespace coracle {

inline void copy_text(char* to, const char* from, size_t size) {
  if (size > 1024) {
    memcpy(to, from, size);
  } else if (size >= 16) {
    // The last 16 bytes overlap what the loop has copied.
    for (size_t at = 0; at + 16 < size; at += 16) __builtin_memcpy(to + at, from + at, 16);
    __builtin_memcpy(to + size - 16, from + size - 16, 16);
  } else {
    for (size_t at = 0; at < size; ++at) {
      to[at] = from[at];
      asm volatile("" ::: "memory");  // or the compiler calls memcpy after all
    }
  }
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_COPY_TEXT_H_
