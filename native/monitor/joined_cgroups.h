// The cgroups of version 1 that a container has joined, kept open for the commands that enter it.
#ifndef CORACLE_NATIVE_MONITOR_JOINED_CGROUPS_H_
#define CORACLE_NATIVE_MONITOR_JOINED_CGROUPS_H_

#include <stddef.h>
#include <stdint.h>

#include "native/monitor/message.h"
#include "native/plan/launch_plan.h"
#include "native/sys/fd.h"

namespace coracle {

class JoinedCgroups {
 public:
  static constexpr size_t kMost =
      16;  // Linux has 13 controllers, and systemd a hierarchy of its own

  // Takes the files of a plan's JoinCgroup steps out of its message. None is kept of more than
  // kMost.
  void keep(const LaunchPlan& plan, FdList& fds);
  void close();

  // Whether the plan joins these and no others, in this order.
  bool are_those_of(const LaunchPlan& plan) const;
  // Writes the descriptors behind each other and returns how many.
  size_t copy_to(int* out) const;

 private:
  Fd files_[kMost];
  uint8_t count_ = 0;
  uint32_t paths_ = 0;  // a hash of them all
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_JOINED_CGROUPS_H_
