#include "native/monitor/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr uint32_t kNamespaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;

// A procfs of the monitor's PID namespace that is mounted nowhere: no container can cover or
// replace it.
Error open_proc(Pod* pod) {
  const Fd fs(sys::fsopen("proc"));
  if (!fs) return failed("open file system", "proc");
  if (sys::fsconfig(fs.get(), sys::kFsconfigCreate, nullptr, nullptr) != 0) {
    return failed("create file system", "proc");
  }
  pod->proc.reset(
      sys::fsmount(fs.get(), sys::kMountAttrNosuid | sys::kMountAttrNodev | sys::kMountAttrNoexec));
  if (!pod->proc) return failed("mount", "proc");
  pod->self_pidns.reset(openat(pod->proc.get(), "self/ns/pid", O_RDONLY | O_CLOEXEC));
  if (!pod->self_pidns) return failed("open", "/proc/self/ns/pid");
  return {};
}

// The pod's /dev/null is a mount of the host's, in the monitor's own tree and read-only: writes go
// to the device as ever, but nobody who has it as stdin can change the node, which is the host's
// (chmod(2) through /proc/self/fd/0 by a container's root would lock the host out of it).
Error attach_null_device(const Fd& tree, Pod* pod) {
  constexpr char kPath[] = "/dev/null";
  if (mkdir("/dev", 0755) != 0 || mknod(kPath, S_IFREG, 0) != 0) return failed("make", kPath);
  sys::MountAttr readonly;
  readonly.set = sys::kMountAttrReadonly;
  readonly.propagation = MS_PRIVATE;
  if (sys::move_mount(tree.get(), "", AT_FDCWD, kPath, sys::kMoveMountFromEmptyPath) != 0 ||
      sys::mount_setattr(AT_FDCWD, kPath, 0, readonly) != 0) {
    return failed("mount", kPath);
  }
  pod->devnull.reset(open(kPath, O_RDWR | O_CLOEXEC | O_NOCTTY));
  return pod->devnull ? Error{} : failed("open", kPath);
}

// The monitor's own root, and what is opened before the host's is left.
Error prepare_root(Pod* pod) {
  const Fd null_device(sys::open_tree(AT_FDCWD, "/dev/null", sys::kOpenTreeClone));
  if (!null_device) return failed("open", "/dev/null");
  Error error = open_proc(pod);
  if (error.ok()) error = enter_root();
  return error.ok() ? attach_null_device(null_device, pod) : error;
}

Error unshare_namespaces(uint32_t flags, Pod* pod) {
  if ((flags & ~kNamespaces) != 0) return Error{EINVAL, "unshare namespaces", ""};
  if (flags != 0 && unshare(static_cast<int>(flags)) != 0) return failed("unshare namespaces");
  pod->unshared = flags;
  return (flags & CLONE_NEWNET) != 0 ? raise_loopback() : Error{};
}

// The namespaces, and the sysctls in them.
Error enter_namespaces(const SandboxRequest& request, const FdList& fds, Pod* pod) {
  if ((request.unshare_flags & ~kNamespaces) != 0) return Error{EINVAL, "unshare namespaces", ""};
  const bool own_users = request.uids.length != 0;
  if (own_users != (request.gids.length != 0)) return Error{EINVAL, "make user namespace", ""};
  if (pod->prepared && (own_users || request.unshare_flags != pod->unshared)) {
    return Error{EINVAL, "use prepared namespaces", ""};
  }
  if (request.net_fd >= 0) {
    if ((request.unshare_flags & CLONE_NEWNET) != 0) return Error{EINVAL, "join network", ""};
    if (sys::setns(fds.at(request.net_fd), CLONE_NEWNET) != 0) return failed("join network");
  }
  Error error;
  if (own_users) {
    error = make_user_namespace(request, pod);
    if (error.ok() && (request.unshare_flags & CLONE_NEWNET) != 0) error = raise_loopback();
  } else if (!pod->prepared) {
    error = unshare_namespaces(request.unshare_flags, pod);
  }
  if (!error.ok()) return error;
  if ((request.unshare_flags & CLONE_NEWUTS) != 0 && !request.hostname.empty() &&
      sethostname(request.hostname.data, request.hostname.size) != 0) {
    return failed("set hostname", request.hostname.data);
  }
  if (own_users) return {};
  return write_sysctls(pod->proc.get(), request.sysctl_count, request.sysctls);
}

}  // namespace

Error prepare_pod(uint32_t unshare_flags, Pod* pod) {
  pod->prepared = true;
  const Error error = prepare_root(pod);
  return error.ok() ? unshare_namespaces(unshare_flags, pod) : error;
}

Error make_pod(const SandboxRequest& request, FdList& fds, Pod* pod) {
  if (fds.at(0) < 0 || fds.at(1) < 0) return Error{EINVAL, "make sandbox", ""};
  pod->exit_dir = fds.take(1);
  struct stat info {};
  if (fstat(pod->exit_dir.get(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return Error{ENOTDIR, "open exit directory", ""};
  }
  Error error = pod->prepared ? Error{} : prepare_root(pod);
  if (error.ok()) error = attach_data(fds.at(0), pod);
  if (error.ok()) error = attach_shm(request, pod);
  if (error.ok()) error = enter_namespaces(request, fds, pod);
  if (error.ok() && (request.flags & kSharedPid) != 0) error = start_reaper(pod);
  if (!error.ok()) return error;
  pod->context.data_fd = pod->data.get();
  pod->context.shm_fd = pod->shm.get();
  pod->context.proc_fd = pod->proc.get();
  pod->context.pod_pidns_fd = pod->pod_pidns.get();
  pod->context.self_pidns_fd = pod->self_pidns.get();
  pod->context.devnull_fd = pod->devnull.get();
  pod->made = true;
  return {};
}

}  // namespace coracle
