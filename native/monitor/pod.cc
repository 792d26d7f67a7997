#include "native/monitor/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/sys/syscalls.h"

namespace coracle {
namespace {

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

// The namespaces, and the sysctls in them.
Error enter_namespaces(const SandboxRequest& request, const FdList& fds, Pod* pod) {
  constexpr uint32_t kAllowed = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS;
  if ((request.unshare_flags & ~kAllowed) != 0) return Error{EINVAL, "unshare namespaces", ""};
  if (request.net_fd >= 0) {
    if ((request.unshare_flags & CLONE_NEWNET) != 0) return Error{EINVAL, "join network", ""};
    if (sys::setns(fds.at(request.net_fd), CLONE_NEWNET) != 0) return failed("join network");
  }
  if ((request.uids.length != 0) != (request.gids.length != 0)) {
    return Error{EINVAL, "make user namespace", ""};
  }
  const bool own_users = request.uids.length != 0;
  if (own_users) {
    if (Error error = make_user_namespace(request, pod); !error.ok()) return error;
  } else if (request.unshare_flags != 0 && unshare(static_cast<int>(request.unshare_flags)) != 0) {
    return failed("unshare namespaces");
  }
  if ((request.unshare_flags & CLONE_NEWUTS) != 0 && !request.hostname.empty() &&
      sethostname(request.hostname.data, request.hostname.size) != 0) {
    return failed("set hostname", request.hostname.data);
  }
  if ((request.unshare_flags & CLONE_NEWNET) != 0) {
    if (Error error = raise_loopback(); !error.ok()) return error;
  }
  if (own_users) return {};
  return write_sysctls(pod->proc.get(), request.sysctl_count, request.sysctls);
}

}  // namespace

Error make_pod(const SandboxRequest& request, FdList& fds, Pod* pod) {
  if (fds.at(0) < 0 || fds.at(1) < 0) return Error{EINVAL, "make sandbox", ""};
  pod->exit_dir = fds.take(1);
  struct stat info {};
  if (fstat(pod->exit_dir.get(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return Error{ENOTDIR, "open exit directory", ""};
  }
  pod->devnull.reset(open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!pod->devnull) return failed("open", "/dev/null");
  Error error = open_proc(pod);
  if (error.ok()) error = enter_root(fds.at(0), request, pod);
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
