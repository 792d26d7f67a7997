// Paths inside a container's root, which may hold any symbolic links.
#ifndef CORACLE_NATIVE_LAUNCH_RESOLVE_H_
#define CORACLE_NATIVE_LAUNCH_RESOLVE_H_

#include <stdint.h>

#include "native/launch/decode.h"
#include "native/plan/steps.h"

namespace coracle {

// Opens `path` as a process chrooted to `root` would, following symbolic links but never leaving
// the root and never following the magic links of procfs. -1 with errno.
int open_in_root(int root, const char* path, uint64_t flags, uint64_t mode = 0);

// The directory that holds the last component of a path, and that component.
struct Parent {
  int fd = -1;
  char name[256] = {};
};

// Opens the parent directory of `path`, making missing directories (mode 0755, root's) on the
// way. The caller closes `out->fd`. False with errno.
bool make_parent(int root, const char* path, Parent* out);

// Opens `path` as O_PATH for a mount. A missing one is made, and so are its parents: an empty
// directory, or an empty file. A symbolic link that leads to nothing has its destination made,
// inside the root, as image authors expect of /var/run → /run. -1 with errno.
int make_target(int root, const char* path, TargetKind kind);

// mkdir -p; false with errno. `made` (may be null) says whether the last component is new.
bool make_directories(int root, const char* path, uint32_t mode, bool* made);

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_RESOLVE_H_
