#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <initializer_list>

#include "native/monitor/pod.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

Error make_tmpfs(const char* what, const char* size, const char* mode, uint64_t attributes,
                 Fd* mount) {
  const Fd fs(sys::fsopen("tmpfs"));
  if (!fs) return failed("open file system", what);
  if (sys::fsconfig(fs.get(), sys::kFsconfigSetString, "size", size) != 0 ||
      sys::fsconfig(fs.get(), sys::kFsconfigSetString, "mode", mode) != 0 ||
      sys::fsconfig(fs.get(), sys::kFsconfigCreate, nullptr, nullptr) != 0) {
    return failed("create file system", what);
  }
  mount->reset(sys::fsmount(fs.get(), attributes));
  return *mount ? Error{} : failed("mount", what);
}

// Puts `root` over "/" and lets go of everything of the host below it.
Error pivot_into(int root) {
  if (sys::move_mount(root, "", AT_FDCWD, "/", sys::kMoveMountFromEmptyPath) != 0) {
    return failed("attach monitor root");
  }
  if (fchdir(root) != 0) return failed("enter monitor root");
  if (sys::pivot_root(".", ".") == 0) {
    return umount2(".", MNT_DETACH) == 0 && chdir("/") == 0 ? Error{} : failed("leave host root");
  }
  // An initramfs can't be pivoted away from; its mounts then stay, out of reach.
  if (errno != EINVAL) return failed("pivot to monitor root");
  return chroot(".") == 0 && chdir("/") == 0 ? Error{} : failed("leave host root");
}

// A program in a chroot has another "/" than its mount namespace, and what joins the namespace of a
// container (every exec) would get the namespace's: the host's root. Who joins a mount namespace
// stands at its root (setns(2)), the own one's, too.
Error leave_chroot() {
  const Fd mounts(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC));
  if (!mounts) return failed("open", "/proc/self/ns/mnt");
  return sys::setns(mounts.get(), CLONE_NEWNS) == 0 ? Error{} : failed("join mount namespace");
}

}  // namespace

Error enter_root() {
  if (unshare(CLONE_NEWNS) != 0) return failed("unshare mount namespace");
  Error error = leave_chroot();
  if (!error.ok()) return error;
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return failed("make mounts private");
  }
  Fd root;
  error = make_tmpfs("monitor root", "64k", "0755", sys::kMountAttrNosuid | sys::kMountAttrNodev,
                     &root);
  if (!error.ok()) return error;
  for (const char* name : {"data", "rootfs", "shm"}) {
    if (mkdirat(root.get(), name, 0755) != 0) return failed("mkdir", name);
  }
  return pivot_into(root.get());
}

Error attach_data(int data_tree, Pod* pod) {
  if (sys::move_mount(data_tree, "", AT_FDCWD, kDataDir, sys::kMoveMountFromEmptyPath) != 0) {
    return failed("attach root directory");
  }
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return failed("make mounts private");
  }
  pod->data.reset(open(kDataDir, O_PATH | O_DIRECTORY | O_CLOEXEC));
  return pod->data ? Error{} : failed("open", kDataDir);
}

Error attach_shm(const SandboxRequest& request, Pod* pod) {
  if (request.shm_size == 0) return {};
  char size[24];
  snprintf(size, sizeof(size), "%llu", static_cast<unsigned long long>(request.shm_size));
  Error error =
      make_tmpfs("shm", size, "1777",
                 sys::kMountAttrNosuid | sys::kMountAttrNodev | sys::kMountAttrNoexec, &pod->shm);
  if (!error.ok()) return error;
  if (request.uids.length != 0 &&
      fchownat(pod->shm.get(), "", request.uids.host, request.gids.host, AT_EMPTY_PATH) != 0) {
    return failed("chown", "shm");
  }
  if (sys::move_mount(pod->shm.get(), "", AT_FDCWD, "/shm", sys::kMoveMountFromEmptyPath) != 0) {
    return failed("attach shm");
  }
  return {};
}

}  // namespace coracle
