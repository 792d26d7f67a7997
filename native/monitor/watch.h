// How an epoll event says what it is about: source, place and generation in its 64 bits.
#ifndef CORACLE_NATIVE_MONITOR_WATCH_H_
#define CORACLE_NATIVE_MONITOR_WATCH_H_

#include <stdint.h>

#include "native/monitor/monitor.h"

namespace coracle {

inline uint64_t tag_of(Source source, uint32_t place, uint32_t generation) {
  return static_cast<uint64_t>(source) << 56 | static_cast<uint64_t>(place & 0xffffff) << 32 |
         generation;
}
inline Source source_of(uint64_t tag) { return static_cast<Source>(tag >> 56); }
inline uint32_t place_of(uint64_t tag) { return static_cast<uint32_t>(tag >> 32) & 0xffffff; }
inline uint32_t generation_of(uint64_t tag) { return static_cast<uint32_t>(tag); }

// The place of a stream: its entry's slot, and which of the two it is.
inline uint32_t stream_place(uint32_t slot, int stream) {
  return slot * 2 + static_cast<uint32_t>(stream);
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_WATCH_H_
