// Paths inside a container's root, which may hold any symbolic links.
#ifndef CORACLE_NATIVE_LAUNCH_RESOLVE_H_
#define CORACLE_NATIVE_LAUNCH_RESOLVE_H_

#include <stdint.h>

#include "native/launch/decode.h"
#include "native/plan/steps.h"
#include "native/sys/fd.h"

namespace coracle {

// Opens `path` as a process chrooted to `root` would, following symbolic links but never leaving
// the root and never following the magic links of procfs. -1 with errno.
int open_in_root(int root, const char* path, uint64_t flags, uint64_t mode = 0);

// The directory that holds the last component of a path, and that component. It stays open for
// what is made next, which mostly is in the same directory: the nodes of /dev, the hierarchies of
// cgroups. Whoever mounts anything makes it forget the directory, which may be below the mount.
class ParentDirectory {
 public:
  // Opens the parent directory of `path`, unless it is open, making missing directories (mode 0755,
  // root's) on the way. False with errno, and with nothing open.
  bool find(int root, const char* path);
  // Whether it is the parent of `path` that is open.
  bool holds(const char* path) const;
  void forget() { fd_.reset(); }

  int fd() const { return fd_.get(); }
  const char* name() const { return name_; }

 private:
  Fd fd_;
  size_t size_ = 0;  // of the parent's path; 0: longer than `path_`, and not known again
  char path_[256] = {};
  char name_[256] = {};
};

// Opens `path` as O_PATH for a mount. A missing one is made, and so are its parents: an empty
// directory, or an empty file. A symbolic link that leads to nothing has its destination made,
// inside the root, as image authors expect of /var/run → /run. `parent` is forgotten unless the
// last component is new, so that no mount on it covers the parent. -1 with errno.
int make_target(int root, const char* path, TargetKind kind, ParentDirectory& parent);

// mkdir -p; false with errno. `made` (may be null) says whether the last component is new.
bool make_directories(int root, const char* path, uint32_t mode, bool* made);

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_RESOLVE_H_
