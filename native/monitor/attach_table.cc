#include "native/monitor/attach_table.h"

#include <new>

namespace coracle {

AttachClient* AttachTable::add() {
  if (memory_.data() == nullptr) return nullptr;
  uint32_t place = 0;
  while (place < used_ && clients()[place].generation != 0) ++place;
  if (place == kCapacity) return nullptr;
  if (place == used_) ++used_;
  AttachClient* client = new (&clients()[place]) AttachClient;
  if (++generation_ == 0) ++generation_;
  client->generation = generation_;
  return client;
}

void AttachTable::remove(AttachClient* client) {
  client->~AttachClient();
  client->generation = 0;
  while (used_ != 0 && clients()[used_ - 1].generation == 0) --used_;
}

AttachClient* AttachTable::at(uint32_t place, uint32_t generation) {
  if (place >= used_ || generation == 0) return nullptr;
  AttachClient* client = &clients()[place];
  return client->generation == generation ? client : nullptr;
}

}  // namespace coracle
