// Overlay, RootBind, Pivot: the container's root file system. ImageMount: those of other images.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "native/launch/child.h"
#include "native/launch/mount_options.h"
#include "native/launch/resolve.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

// Puts a detached mount on the directory that the child's copy of the monitor's namespace has for
// it. The descriptor is the root of the mount from here on.
Error attach_root(Fd tree, const Child& child, int* root) {
  if (sys::move_mount(tree.get(), "", AT_FDCWD, child.context->rootfs_dir,
                      sys::kMoveMountFromEmptyPath) != 0) {
    return failed("attach root", child.context->rootfs_dir);
  }
  *root = tree.release();
  return {};
}

// Appends to the option string of mount(2); remembers an overflow.
class OptionString {
 public:
  void text(const char* text) {
    for (; *text != 0; ++text) put(*text);
  }
  // overlayfs takes ',' as the end of an option and ':' as the end of a layer unless a backslash
  // precedes them.
  void escaped(const char* path) {
    for (; *path != 0; ++path) {
      if (*path == ',' || *path == ':' || *path == '\\') put('\\');
      put(*path);
    }
  }
  const char* get() {
    bytes_[size_] = 0;
    return bytes_;
  }
  bool fits() const { return fits_; }

 private:
  void put(char c) {
    if (size_ + 1 < sizeof(bytes_)) {
      bytes_[size_++] = c;
    } else {
      fits_ = false;
    }
  }

  char bytes_[4096];  // mount(2) copies one page
  size_t size_ = 0;
  bool fits_ = true;
};

// Upper and work directory have backslashes removed by the kernel, the ones of "lowerdir+" not.
Error set_directory(int fs, const char* key, const char* path) {
  OptionString value;
  value.escaped(path);
  if (!value.fits()) return Error{ENAMETOOLONG, "mount overlay", path};
  if (sys::fsconfig(fs, sys::kFsconfigSetString, key, value.get()) != 0) {
    return failed("mount overlay", path);
  }
  return {};
}

// "lowerdir+" is of Linux 6.7. Before 6.5 overlayfs takes any key and refuses the lot in the end,
// with a line in the kernel's log each time: older kernels are not asked.
bool takes_single_layers() {
  struct utsname name;
  if (uname(&name) != 0) return false;
  char* rest = nullptr;
  const long major = strtol(name.release, &rest, 10);
  const long minor = *rest == '.' ? strtol(rest + 1, nullptr, 10) : 0;
  return major > 6 || (major == 6 && minor >= 7);
}

// Layer by layer, without the limit of one page. `supported` becomes false where the first
// "lowerdir+" is not understood.
Error overlay_by_layers(const Overlay& step, const Child& child, int* root, bool* supported) {
  Fd fs(sys::fsopen("overlay"));
  if (!fs) return failed("mount overlay", step.upper.data);
  Error error;
  bool first = true;
  for_each_string(step.lower, step.lower_count, [&](const Str& lower) {
    if (sys::fsconfig(fs.get(), sys::kFsconfigSetString, "lowerdir+", lower.data) != 0) {
      if (first && errno == EINVAL) *supported = false;
      error = failed("mount overlay", lower.data);
    }
    first = false;
    return error.ok();
  });
  if (!error.ok()) return error;
  if (!step.upper.empty()) {
    error = set_directory(fs.get(), "upperdir", step.upper.data);
    if (error.ok()) error = set_directory(fs.get(), "workdir", step.work.data);
    if (!error.ok()) return error;
  }
  error = set_mount_options(fs.get(), "mount overlay", step.upper.data, step.options.data);
  if (!error.ok()) return error;
  if (sys::fsconfig(fs.get(), sys::kFsconfigCreate, nullptr, nullptr) != 0) {
    return failed("mount overlay", step.upper.data);
  }
  Fd tree(sys::fsmount(fs.get(), 0));
  if (!tree) return failed("mount overlay", step.upper.data);
  return attach_root(static_cast<Fd&&>(tree), child, root);
}

Error overlay_by_string(const Overlay& step, const Child& child, int* root) {
  OptionString data;
  data.text("lowerdir=");
  bool first = true;
  for_each_string(step.lower, step.lower_count, [&](const Str& lower) {
    if (!first) data.text(":");
    first = false;
    data.escaped(lower.data);
    return true;
  });
  if (!step.upper.empty()) {
    data.text(",upperdir=");
    data.escaped(step.upper.data);
    data.text(",workdir=");
    data.escaped(step.work.data);
  }
  if (!step.options.empty()) {
    data.text(",");
    data.text(step.options.data);
  }
  if (!data.fits()) return Error{E2BIG, "mount overlay", step.upper.data};
  const char* target = child.context->rootfs_dir;
  if (mount("overlay", target, "overlay", 0, data.get()) != 0) {
    Error error = failed("mount overlay", step.upper.data);
    // The kernel does not say which directory it means.
    for_each_string(step.lower, step.lower_count, [&](const Str& lower) {
      if (access(lower.data, F_OK) == 0) return true;
      error = failed("mount overlay", lower.data);
      return false;
    });
    return error;
  }
  *root = open(target, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (*root < 0) return failed("open root", target);
  return {};
}

// overlayfs refuses a single layer without an upper directory; a bind mount is the same thing.
Error bind_only_layer(const Overlay& step, const Child& child, int* root) {
  Error error;
  for_each_string(step.lower, step.lower_count, [&](const Str& lower) {
    Fd tree(sys::open_tree(AT_FDCWD, lower.data, sys::kOpenTreeClone));
    sys::MountAttr readonly;
    readonly.set = sys::kMountAttrReadonly;
    if (!tree || sys::mount_setattr(tree.get(), "", sys::kAtEmptyPath, readonly) != 0) {
      error = failed("mount layer", lower.data);
    } else {
      error = attach_root(static_cast<Fd&&>(tree), child, root);
    }
    return error.ok();
  });
  return error;
}

// Mounts layers on the directory for roots, over what is there; `root` becomes the descriptor.
Error mount_layers(const Overlay& step, const Child& child, int* root) {
  // Layers are relative: they keep the option string short, and overlayfs accepts none from
  // outside the child's own mount namespace, as those of an inherited descriptor would be.
  const char* data = child.context->data_dir;
  if (chdir(data) != 0) return failed("chdir", data);
  Error error;
  if (step.lower_count == 1 && step.upper.empty()) {
    error = bind_only_layer(step, child, root);
  } else {
    bool supported = takes_single_layers();
    if (supported) error = overlay_by_layers(step, child, root, &supported);
    if (!supported) error = overlay_by_string(step, child, root);
  }
  if (error.ok() && chdir("/") != 0) error = failed("chdir", "/");
  return error;
}

// Trades a mounted image for a mount of what is at `path` in it. Only what is mounted in the own
// namespace can be cloned before Linux 6.15, so the image is mounted first and let go of then.
Error take_sub_path(const Str& path, Fd* image, TargetKind* kind) {
  Fd found(open_in_root(image->get(), path.data, O_PATH));
  struct stat status;
  if (!found || fstat(found.get(), &status) != 0) return failed("open image path", path.data);
  *kind = S_ISDIR(status.st_mode) ? TargetKind::kDirectory : TargetKind::kFile;
  Fd tree(sys::open_tree(found.get(), "", sys::kOpenTreeClone | sys::kAtEmptyPath));
  if (!tree) return failed("open image path", path.data);
  if (fchdir(image->get()) != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) {
    return failed("let go of image", path.data);
  }
  *image = static_cast<Fd&&>(tree);
  return {};
}

}  // namespace

Error run(const Overlay& step, Child& child) { return mount_layers(step, child, &child.root); }

Error run(const ImageMount& step, Child& child) {
  Overlay layers;
  layers.lower_count = step.lower_count;
  layers.lower = step.lower;
  int mounted = -1;
  const char* path = step.target.data;
  // Before the image lies on the root, where a link of the container's with ".." would lead into
  // it. What a sub path is shows later, when the image is gone from there.
  Fd target;
  if (step.sub_path.empty()) {
    target.reset(make_target(child.root, path, TargetKind::kDirectory, child.parent));
    if (!target) return failed("open mount target", path);
  }
  if (Error error = mount_layers(layers, child, &mounted); !error.ok()) return error;
  Fd image(mounted);
  if (!target) {
    TargetKind kind = TargetKind::kDirectory;
    if (Error error = take_sub_path(step.sub_path, &image, &kind); !error.ok()) return error;
    target.reset(make_target(child.root, path, kind, child.parent));
    if (!target) return failed("open mount target", path);
  }
  sys::MountAttr attributes;
  attributes.set = step.attributes | sys::kMountAttrReadonly;
  if (sys::mount_setattr(image.get(), "", sys::kAtEmptyPath, attributes) != 0) {
    return failed("set mount attributes", path);
  }
  if (sys::move_mount(image.get(), "", target.get(), "",
                      sys::kMoveMountFromEmptyPath | sys::kMoveMountToEmptyPath) != 0) {
    return failed("mount image", path);
  }
  return {};
}

Error run(const RootBind& step, Child& child) {
  int tree = fcntl(child.fd(step.fd), F_DUPFD_CLOEXEC, 3);
  if (tree < 0) return failed("attach root", step.path.data);
  Error error = attach_root(Fd(tree), child, &child.root);
  if (!error.ok()) return Error{error.code, error.step, step.path.data};
  sys::MountAttr isolated;
  isolated.propagation = MS_PRIVATE;
  if (sys::mount_setattr(child.root, "", sys::kAtEmptyPath | sys::kAtRecursive, isolated) != 0) {
    return failed("make root private", step.path.data);
  }
  return {};
}

Error run(const Pivot& step, Child& child) {
  const Str& cwd = child.program->created_cwd;
  if (step.readonly != 0 && !cwd.empty() &&
      !make_directories(child.root, cwd.data, 0755, nullptr)) {
    return failed("mkdir", cwd.data);
  }
  // pivot_root(".", ".") stacks the old root on the new one, from where it is let go; pivot_root(2)
  // describes it. Nothing of the monitor's tree needs a place inside the container.
  if (fchdir(child.root) != 0) return failed("chdir to root");
  if (sys::pivot_root(".", ".") != 0) return failed("pivot root");
  if (umount2(".", MNT_DETACH) != 0) return failed("let go of old root");
  if (chdir("/") != 0) return failed("chdir", "/");
  if (step.readonly != 0) {
    sys::MountAttr readonly;
    readonly.set = sys::kMountAttrReadonly;
    if (sys::mount_setattr(child.root, "", sys::kAtEmptyPath, readonly) != 0) {
      return failed("make root read-only");
    }
  }
  return {};
}

}  // namespace coracle
