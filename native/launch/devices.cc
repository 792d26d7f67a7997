// Mkdir, Mknod, Symlink: single entries of the container's tree.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "native/launch/child.h"
#include "native/launch/resolve.h"
#include "native/sys/fd.h"

namespace coracle {

Error run(const Mkdir& step, Child& child) {
  bool made = false;
  if (!make_directories(child.root, step.target.data, step.mode, &made)) {
    return failed("mkdir", step.target.data);
  }
  const bool given_away = step.uid != child.fs_uid || step.gid != child.fs_gid;
  // mkdir(2) passes over set-id bits.
  const bool sets_ids = (step.mode & (S_ISUID | S_ISGID)) != 0;
  if (!made || (!given_away && !sets_ids)) return {};
  Fd directory(open_in_root(child.root, step.target.data, O_RDONLY | O_DIRECTORY));
  if (!directory) return failed("open", step.target.data);
  if (given_away && fchown(directory.get(), step.uid, step.gid) != 0) {
    return failed("chown", step.target.data);
  }
  if (sets_ids && fchmod(directory.get(), step.mode) != 0) {
    return failed("chmod", step.target.data);
  }
  return {};
}

Error run(const Mknod& step, Child& child) {
  ParentDirectory& parent = child.parent;
  if (!parent.find(child.root, step.target.data)) return failed("mknod", step.target.data);
  dev_t device = makedev(step.major, step.minor);
  if (mknodat(parent.fd(), parent.name(), step.mode, device) != 0) {
    struct stat entry;
    if (errno != EEXIST || fstatat(parent.fd(), parent.name(), &entry, AT_SYMLINK_NOFOLLOW) != 0) {
      return failed("mknod", step.target.data);
    }
    bool same_type = (entry.st_mode & S_IFMT) == (step.mode & S_IFMT);
    if (!same_type || (!S_ISFIFO(entry.st_mode) && entry.st_rdev != device)) {
      return Error{EEXIST, "mknod", step.target.data};
    }
    return {};
  }
  if ((step.uid != child.fs_uid || step.gid != child.fs_gid) &&
      fchownat(parent.fd(), parent.name(), step.uid, step.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    return failed("chown", step.target.data);
  }
  return {};
}

Error run(const Symlink& step, Child& child) {
  ParentDirectory& parent = child.parent;
  if (!parent.find(child.root, step.target.data)) return failed("symlink", step.target.data);
  if (symlinkat(step.content.data, parent.fd(), parent.name()) != 0 && errno != EEXIST) {
    return failed("symlink", step.target.data);
  }
  return {};
}

}  // namespace coracle
