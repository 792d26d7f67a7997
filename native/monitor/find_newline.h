// memchr for '\n' in 16-byte steps: the C library of the static build looks at 8 bytes at a time,
// and the log pump spends most of its own time here.
#ifndef CORACLE_NATIVE_MONITOR_FIND_NEWLINE_H_
#define CORACLE_NATIVE_MONITOR_FIND_NEWLINE_H_

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace coracle {

// The first newline in [at, end), or `end`.
inline const char* find_newline(const char* at, const char* end) {
#if defined(__SSE2__)
  const __m128i newlines = _mm_set1_epi8('\n');
  for (; end - at >= 16; at += 16) {
    const __m128i block = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
    const int found = _mm_movemask_epi8(_mm_cmpeq_epi8(block, newlines));
    if (found != 0) return at + __builtin_ctz(static_cast<unsigned>(found));
  }
  while (at != end && *at != '\n') ++at;
  return at;
#else
  const void* found = memchr(at, '\n', static_cast<size_t>(end - at));
  return found != nullptr ? static_cast<const char*>(found) : end;
#endif
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_FIND_NEWLINE_H_
