// Attach clients: who watches and feeds a running process beside its log.
#ifndef CORACLE_NATIVE_MONITOR_ATTACH_TABLE_H_
#define CORACLE_NATIVE_MONITOR_ATTACH_TABLE_H_

#include <stdint.h>

#include "native/monitor/pages.h"
#include "native/monitor/raw_copy.h"
#include "native/sys/fd.h"

namespace coracle {

struct AttachClient {
  uint32_t generation = 0;  // 0: the place is free
  uint32_t slot = 0;        // of its entry
  uint32_t entry_generation = 0;
  uint32_t streams = 0;  // AttachFlags
  bool grown = false;    // the output pipe is as large as it gets
  bool ending = false;   // all it still waits for is the last frame
  Fd output;             // a pipe, not blocking
  Fd input;              // a pipe, not blocking
  RawCopy copy;          // from `input` into stdin or the terminal
};

// All clients of the pod. Places never move, and low ones are used first.
class AttachTable {
 public:
  static constexpr uint32_t kCapacity = 256;

  // Null where all places are taken (or the kernel has no memory).
  AttachClient* add();
  void remove(AttachClient* client);

  uint32_t place_of(const AttachClient* client) {
    return static_cast<uint32_t>(client - clients());
  }
  // The client in a place if it is still the one of this generation.
  AttachClient* at(uint32_t place, uint32_t generation);

  // Calls `visit(AttachClient&)` for all clients, which may remove the visited one.
  template <typename Visit>
  void each(Visit visit) {
    for (uint32_t place = 0; place < used_; ++place) {
      if (clients()[place].generation != 0) visit(clients()[place]);
    }
  }

 private:
  AttachClient* clients() { return reinterpret_cast<AttachClient*>(memory_.data()); }

  Pages memory_{sizeof(AttachClient) * kCapacity};
  uint32_t used_ = 0;  // places from here on are free
  uint32_t generation_ = 0;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_ATTACH_TABLE_H_
