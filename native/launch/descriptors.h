// Which descriptors a child keeps.
#ifndef CORACLE_NATIVE_LAUNCH_DESCRIPTORS_H_
#define CORACLE_NATIVE_LAUNCH_DESCRIPTORS_H_

#include "native/launch/child.h"

namespace coracle {

// Closes every descriptor that no step needs, and marks the rest close-on-exec. A parked child
// lives long: with its parent's descriptors it would hold other containers' pipes, terminals and
// wake lines open. A refusal is a failure: what is left would be the program's.
Error drop_foreign_descriptors(const Child& child);

// Makes child.stdio the descriptors 0, 1 and 2 (-1: the null device).
Error install_stdio(const Child& child);

// Before the child parks: closes everything but stdio and its two lines to the monitor.
void drop_used_descriptors(const Child& child);

// Gives anonymous pipes, or the container's own terminal, of stdio to `uid`, so that an
// unprivileged program may reopen them as /dev/stdout. Files and the devices of the host stay as
// they are: they are not the container's. UINT32_MAX leaves the group.
void own_stdio(const Child& child, uint32_t uid, uint32_t gid = UINT32_MAX);

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_DESCRIPTORS_H_
