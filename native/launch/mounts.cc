// Mount, Bind, PodShm: what is mounted inside the root.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "native/launch/child.h"
#include "native/launch/mount_options.h"
#include "native/launch/resolve.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr uint64_t kPropagation = MS_PRIVATE | MS_SLAVE | MS_SHARED;

Error attach(int tree, int target, const char* path) {
  if (sys::move_mount(tree, "", target, "",
                      sys::kMoveMountFromEmptyPath | sys::kMoveMountToEmptyPath) != 0) {
    return failed("mount", path);
  }
  return {};
}

// procfs and sysfs are what masks and read-only paths are named in: they must be where they seem
// to be, so that an image may not lead them elsewhere.
Fd open_target(Child& child, const Mount& step) {
  const char* path = step.target.data;
  if (strcmp(step.type.data, "proc") != 0 && strcmp(step.type.data, "sysfs") != 0) {
    return Fd(make_target(child.root, path, TargetKind::kDirectory, child.parent));
  }
  constexpr uint64_t kWithoutLinks = sys::kResolveInRoot | sys::kResolveNoSymlinks;
  Fd target(sys::openat2(child.root, path, O_PATH, 0, kWithoutLinks));
  if (target || errno != ENOENT) {
    child.parent.forget();
    return target;
  }
  Fd made(make_target(child.root, path, TargetKind::kDirectory, child.parent));
  return made ? Fd(sys::openat2(child.root, path, O_PATH, 0, kWithoutLinks)) : Fd();
}

// EINVAL is the kernel's word for a file system, of the tree's, that takes no id map.
Error map_ids(int tree, const Child& child, const char* source) {
  sys::MountAttr mapped;
  mapped.set = sys::kMountAttrIdmap;
  mapped.userns_fd = static_cast<uint64_t>(child.context->userns_fd);
  if (child.context->userns_fd < 0) return Error{EINVAL, "map ids without user namespace", source};
  if (sys::mount_setattr(tree, "", sys::kAtEmptyPath | sys::kAtRecursive, mapped) != 0) {
    return failed("map ids (file system must allow it)", source);
  }
  return {};
}

// devpts gives its directory and its multiplexer to the host's root, whoever mounts it.
Error own_devpts(int tree, const Child& child, const char* path) {
  if (fchownat(tree, "", child.fs_uid, child.fs_gid, AT_EMPTY_PATH) != 0 ||
      fchownat(tree, "ptmx", child.fs_uid, child.fs_gid, 0) != 0) {
    return failed("chown", path);
  }
  return {};
}

}  // namespace

Error set_mount_options(int fs, const char* step, const char* path, const char* options) {
  char option[1024];
  while (*options != 0) {
    size_t size = 0;
    bool quoted = false;
    for (; *options != 0 && (*options != ',' || quoted); ++options) {
      if (*options == '"') {
        quoted = !quoted;
      } else if (size + 1 < sizeof(option)) {
        option[size++] = *options;
      } else {
        return Error{ENAMETOOLONG, step, path};
      }
    }
    option[size] = 0;
    if (*options == ',') ++options;
    if (size == 0) continue;
    char* equals = strchr(option, '=');
    int status;
    if (equals == nullptr) {
      status = sys::fsconfig(fs, sys::kFsconfigSetFlag, option, nullptr);
    } else {
      *equals = 0;
      status = sys::fsconfig(fs, sys::kFsconfigSetString, option, equals + 1);
    }
    if (status != 0) return failed(step, path);
  }
  return {};
}

Error run(const Mount& step, Child& child) {
  const char* path = step.target.data;
  Fd target = open_target(child, step);
  if (!target) return failed("open mount target", path);
  Fd fs(sys::fsopen(step.type.data));
  if (!fs) return failed("mount", path);
  if (!step.source.empty() &&
      sys::fsconfig(fs.get(), sys::kFsconfigSetString, "source", step.source.data) != 0) {
    return failed("mount", path);
  }
  Error error = set_mount_options(fs.get(), "mount", path, step.options.data);
  if (!error.ok()) return error;
  if (sys::fsconfig(fs.get(), sys::kFsconfigCreate, nullptr, nullptr) != 0) {
    return failed("mount", path);
  }
  Fd tree(sys::fsmount(fs.get(), step.attributes));
  if (!tree) return failed("mount", path);
  if (child.fs_uid != 0 && strcmp(step.type.data, "devpts") == 0) {
    if (Error owned = own_devpts(tree.get(), child, path); !owned.ok()) return owned;
  }
  return attach(tree.get(), target.get(), path);
}

Error run(const Bind& step, Child& child) {
  const char* path = step.target.data;
  int tree = child.fd(step.fd);
  Fd target(make_target(child.root, path, step.kind, child.parent));
  if (!target) return failed("open mount target", path);
  sys::MountAttr attributes;
  attributes.set = step.attributes_set & ~sys::kMountAttrIdmap;
  attributes.clear = step.attributes_clear;
  // The access time modes are one field: the kernel sets one only where all are cleared.
  if ((attributes.set & sys::kMountAttrAtimeMask) != 0) {
    attributes.clear |= sys::kMountAttrAtimeMask;
  }
  if ((step.attributes_set & sys::kMountAttrIdmap) != 0) {
    if (Error error = map_ids(tree, child, step.source.data); !error.ok()) return error;
  }
  if (attributes.set != 0 || attributes.clear != 0) {
    unsigned flags = sys::kAtEmptyPath | (step.recursive_attributes != 0 ? sys::kAtRecursive : 0);
    if (sys::mount_setattr(tree, "", flags, attributes) != 0) {
      return failed("set mount attributes", path);
    }
  }
  if (Error error = attach(tree, target.get(), path); !error.ok()) return error;
  // Only now: a detached tree cannot be shared, and a slave keeps receiving from the host.
  sys::MountAttr propagation;
  propagation.propagation = step.propagation & kPropagation;
  if (propagation.propagation != 0 &&
      sys::mount_setattr(tree, "", sys::kAtEmptyPath | sys::kAtRecursive, propagation) != 0) {
    return failed("set mount propagation", path);
  }
  return {};
}

Error run(const PodShm& step, Child& child) {
  Fd target(make_target(child.root, step.target.data, TargetKind::kDirectory, child.parent));
  if (!target) return failed("open mount target", step.target.data);
  return attach(child.shm_tree, target.get(), step.target.data);
}

}  // namespace coracle
