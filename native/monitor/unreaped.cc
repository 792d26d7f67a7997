#include "native/monitor/unreaped.h"

#include <utility>

#include "native/monitor/process_state.h"

namespace coracle {

void Unreaped::add(Fd pidfd) {
  for (Fd& place : pidfds_) {
    if (!place) {
      place = std::move(pidfd);
      return;
    }
  }
}

bool Unreaped::try_again() {
  bool left = false;
  for (Fd& pidfd : pidfds_) {
    if (!pidfd) continue;
    if (reap(pidfd.get())) {
      pidfd.reset();
    } else {
      left = true;
    }
  }
  return left;
}

}  // namespace coracle
