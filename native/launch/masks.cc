// Mask, ReadonlyPath: parts of procfs and sysfs that a container must not read or write.
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "native/launch/child.h"
#include "native/launch/resolve.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr unsigned kAttach = sys::kMoveMountFromEmptyPath | sys::kMoveMountToEmptyPath;
constexpr unsigned kClone = sys::kOpenTreeClone | sys::kAtEmptyPath;

bool is_missing(int code) { return code == ENOENT || code == ENOTDIR; }

bool is_null_device(int fd) {
  struct stat entry;
  return fstat(fd, &entry) == 0 && S_ISCHR(entry.st_mode) && entry.st_rdev == makedev(1, 3);
}

// A mount of the container's own null device: the host's would let its root change the host's
// node. Its number is checked on the very descriptor that is cloned: an image or a volume could
// put anything in the place of /dev/null.
Fd null_mount(Child& child) {
  if (child.null_device < 0) {
    Fd device(open_in_root(child.root, "/dev/null", O_PATH));
    if (!device) return Fd();
    if (!is_null_device(device.get())) {
      errno = ENODEV;
      return Fd();
    }
    child.null_device = device.release();
  }
  return Fd(sys::open_tree(child.null_device, "", kClone));
}

// An empty read-only tmpfs; all masked directories share one.
Fd empty_mount(Child& child) {
  if (child.empty_tree >= 0) return Fd(sys::open_tree(child.empty_tree, "", kClone));
  Fd fs(sys::fsopen("tmpfs"));
  if (!fs || sys::fsconfig(fs.get(), sys::kFsconfigSetString, "mode", "755") != 0 ||
      sys::fsconfig(fs.get(), sys::kFsconfigSetFlag, "ro", nullptr) != 0 ||
      sys::fsconfig(fs.get(), sys::kFsconfigCreate, nullptr, nullptr) != 0) {
    return Fd();
  }
  Fd tree(sys::fsmount(fs.get(), sys::kMountAttrReadonly | sys::kMountAttrNosuid |
                                     sys::kMountAttrNodev | sys::kMountAttrNoexec));
  if (tree) child.empty_tree = fcntl(tree.get(), F_DUPFD_CLOEXEC, 3);
  return tree;
}

}  // namespace

Error run(const Mask& step, Child& child) {
  const char* path = step.target.data;
  Fd target(open_in_root(child.root, path, O_PATH));
  struct stat entry;
  if (!target && is_missing(errno)) return {};
  if (!target || fstat(target.get(), &entry) != 0) return failed("mask", path);
  Fd cover = S_ISDIR(entry.st_mode) ? empty_mount(child) : null_mount(child);
  if (!cover || sys::move_mount(cover.get(), "", target.get(), "", kAttach) != 0) {
    return failed("mask", path);
  }
  return {};
}

Error run(const ReadonlyPath& step, Child& child) {
  const char* path = step.target.data;
  Fd target(open_in_root(child.root, path, O_PATH));
  if (!target && is_missing(errno)) return {};
  if (!target) return failed("make read-only", path);
  sys::MountAttr readonly;
  readonly.set = sys::kMountAttrReadonly;
  // A whole mount, as the cgroup tree with its ten hierarchies, needs no second one on top of it:
  // each costs its making here and its taking down when the container exits.
  constexpr unsigned kTree = sys::kAtEmptyPath | sys::kAtRecursive;
  if (sys::mount_setattr(target.get(), "", kTree, readonly) == 0) return {};
  if (errno != EINVAL) return failed("make read-only", path);
  Fd tree(sys::open_tree(target.get(), "", kClone | sys::kAtRecursive));
  if (!tree || sys::mount_setattr(tree.get(), "", kTree, readonly) != 0 ||
      sys::move_mount(tree.get(), "", target.get(), "", kAttach) != 0) {
    return failed("make read-only", path);
  }
  return {};
}

}  // namespace coracle
