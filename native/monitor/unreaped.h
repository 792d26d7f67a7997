// Processes that have ended and cannot be reaped yet.
#ifndef CORACLE_NATIVE_MONITOR_UNREAPED_H_
#define CORACLE_NATIVE_MONITOR_UNREAPED_H_

#include <stddef.h>

#include "native/sys/fd.h"

namespace coracle {

// Children of this process whose tracers have not let go of them, by their pidfds.
class Unreaped {
 public:
  // Where there is no room the process stays a zombie until this one ends.
  void add(Fd pidfd);
  // True while some are left.
  bool try_again();

 private:
  static constexpr size_t kMost = 64;
  Fd pidfds_[kMost];
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_UNREAPED_H_
