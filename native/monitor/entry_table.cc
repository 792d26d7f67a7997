#include "native/monitor/entry_table.h"

#include <string.h>

#include <initializer_list>
#include <new>

#include "native/monitor/hash.h"

namespace coracle {
namespace {

// 0 is kept for free slots.
uint32_t hash_of(const Str& id) {
  const uint32_t hash = hash_on(kHashOfNothing, id.data, id.size);
  return hash != 0 ? hash : 1;
}

}  // namespace

EntryStatus Entry::status() const {
  EntryStatus status;
  status.id = Str{id, static_cast<uint32_t>(strlen(id))};
  status.exec = exec ? 1 : 0;
  status.pid = static_cast<uint32_t>(process.pid);
  status.started_at = started_at;
  status.finished_at = finished_at;
  status.wait_status = wait_status;
  status.dropped_bytes = dropped_bytes();
  // One that exits still has an announcement to come, which a client may rely on; one that is being
  // started has run nothing yet, and perhaps never will.
  const bool running = phase == Phase::kRunning || phase == Phase::kExiting || run;
  status.state = phase == Phase::kExited ? EntryState::kExited
                 : running               ? EntryState::kRunning
                                         : EntryState::kParked;
  return status;
}

void Entry::close_process() {
  for (int* fd : {&process.pidfd, &process.wake_fd, &process.report_fd, &process.terminal_fd}) {
    Fd(*fd).reset();
    *fd = -1;
  }
  cgroups.close();
}

Entry* EntryTable::find(const Str& id) {
  const uint32_t hash = hash_of(id);
  for (uint32_t slot = 0; slot < used_; ++slot) {
    if (hashes()[slot] != hash) continue;
    Entry* entry = &entries()[slot];
    if (strlen(entry->id) == id.size && memcmp(entry->id, id.data, id.size) == 0) return entry;
  }
  return nullptr;
}

Entry* EntryTable::add(const Str& id) {
  if (memory_.data() == nullptr) return nullptr;
  uint32_t slot = 0;
  while (slot < used_ && hashes()[slot] != 0) ++slot;
  if (slot == kCapacity) return nullptr;
  if (slot == used_) ++used_;
  Entry* entry = new (&entries()[slot]) Entry;
  hashes()[slot] = hash_of(id);
  entry->generation = ++generation_;
  entry->phase = Phase::kPreparing;
  memcpy(entry->id, id.data, id.size);
  ++size_;
  return entry;
}

void EntryTable::remove(Entry* entry) {
  const uint32_t slot = slot_of(entry);
  entry->close_process();
  entry->~Entry();
  entry->phase = Phase::kFree;
  hashes()[slot] = 0;
  --size_;
  while (used_ != 0 && hashes()[used_ - 1] == 0) --used_;
}

Entry* EntryTable::at(uint32_t slot, uint32_t generation) {
  if (slot >= used_ || hashes()[slot] == 0) return nullptr;
  Entry* entry = &entries()[slot];
  return entry->generation == generation ? entry : nullptr;
}

}  // namespace coracle
