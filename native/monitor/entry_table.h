// Every entry of the pod, by id and by slot.
#ifndef CORACLE_NATIVE_MONITOR_ENTRY_TABLE_H_
#define CORACLE_NATIVE_MONITOR_ENTRY_TABLE_H_

#include <stdint.h>

#include "native/monitor/entry.h"
#include "native/monitor/pages.h"

namespace coracle {

// Slots never move, and low ones are used first, so that memory follows the largest number of
// entries that were alive together.
class EntryTable {
 public:
  static constexpr uint32_t kCapacity = 8192;

  // Null where all slots are taken (or the kernel has no memory).
  Entry* add(const Str& id);
  Entry* find(const Str& id);
  void remove(Entry* entry);

  uint32_t slot_of(const Entry* entry) { return static_cast<uint32_t>(entry - entries()); }
  // The entry in a slot if it is still the one of this generation.
  Entry* at(uint32_t slot, uint32_t generation);

  // Calls `visit(Entry&)` for all entries, which may remove the visited one.
  template <typename Visit>
  void each(Visit visit) {
    for (uint32_t slot = 0; slot < used_; ++slot) {
      if (entries()[slot].phase != Phase::kFree) visit(entries()[slot]);
    }
  }
  uint32_t size() const { return size_; }

 private:
  Entry* entries() { return reinterpret_cast<Entry*>(memory_.data()); }
  uint32_t* hashes() {
    return reinterpret_cast<uint32_t*>(memory_.data() + sizeof(Entry) * kCapacity);
  }

  Pages memory_{(sizeof(Entry) + sizeof(uint32_t)) * kCapacity};
  uint32_t used_ = 0;  // slots from here on were never used
  uint32_t size_ = 0;
  uint32_t generation_ = 0;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_ENTRY_TABLE_H_
