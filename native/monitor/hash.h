// FNV-1a, for tables and comparisons of what nobody outside chooses.
#ifndef CORACLE_NATIVE_MONITOR_HASH_H_
#define CORACLE_NATIVE_MONITOR_HASH_H_

#include <stddef.h>
#include <stdint.h>

namespace coracle {

inline constexpr uint32_t kHashOfNothing = 2166136261u;

// The hash of what `hash` stands for with `size` more bytes.
inline uint32_t hash_on(uint32_t hash, const char* bytes, size_t size) {
  for (size_t place = 0; place < size; ++place) {
    hash = (hash ^ static_cast<uint8_t>(bytes[place])) * 16777619u;
  }
  return hash;
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_HASH_H_
