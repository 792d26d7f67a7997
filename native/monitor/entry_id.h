// What a client may call an entry: it becomes a file name in the exit directory.
#ifndef CORACLE_NATIVE_MONITOR_ENTRY_ID_H_
#define CORACLE_NATIVE_MONITOR_ENTRY_ID_H_

#include "native/plan/codec.h"

namespace coracle {

inline constexpr size_t kMaxId = 128;

// 1 to kMaxId bytes of A-Z a-z 0-9 _ - . that do not begin with a dot.
inline bool is_valid_id(const Str& id) {
  if (id.size == 0 || id.size > kMaxId || id.data[0] == '.') return false;
  for (uint32_t place = 0; place < id.size; ++place) {
    const char c = id.data[place];
    const bool allowed = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
    if (!allowed) return false;
  }
  return true;
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_ENTRY_ID_H_
