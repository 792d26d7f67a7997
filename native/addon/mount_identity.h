// What the host paths of a plan led to when it was launched, for a start that comes later.
#ifndef CORACLE_NATIVE_ADDON_MOUNT_IDENTITY_H_
#define CORACLE_NATIVE_ADDON_MOUNT_IDENTITY_H_

#include <stdint.h>

#include <vector>

#include "native/addon/failure.h"
#include "native/addon/plan_builder.h"

namespace coracle {

// A file and the mount that it was found on, as of statx(2). Before Linux 6.8 the kernel may give
// the number of a mount that is gone to another one; device and inode tell them apart then.
struct MountIdentity {
  uint64_t device = 0, inode = 0, mount = 0;
  bool operator==(const MountIdentity&) const = default;
};

// Of every mount source of the plan, in its order; all zero where there is none. May block on slow
// file systems.
std::vector<MountIdentity> identify_sources(const EncodedPlan& plan);

// ESTALE of step "start", naming the first source that leads elsewhere by now.
Failure check_sources(const EncodedPlan& plan, const std::vector<MountIdentity>& launched);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_MOUNT_IDENTITY_H_
