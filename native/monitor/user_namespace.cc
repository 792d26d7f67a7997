// The pod's user namespace and the namespaces that belong to it.
//
// A namespace belongs to the user namespace of its maker, so a short-lived process makes them all,
// and the monitor joins all but the user namespace: it keeps the host's privileges, and what it
// clones starts with the pod's network, IPC and host name as in any other pod.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "native/monitor/pod.h"
#include "native/monitor/process_title.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

// The process that makes the namespaces. It ends with this object.
struct Maker {
  pid_t pid = 0;
  Fd pidfd;
  Fd line;

  ~Maker() {
    if (!pidfd) return;
    sys::pidfd_send_signal(pidfd.get(), SIGKILL);
    siginfo_t info;
    while (waitid(static_cast<idtype_t>(3) /* P_PIDFD */, static_cast<id_t>(pidfd.get()), &info,
                  WEXITED | __WALL) != 0 &&
           errno == EINTR) {
    }
  }
};

int become_root() {
  return sys::setgroups(0, nullptr) == 0 && sys::setresgid(0) == 0 && sys::setresuid(0) == 0
             ? 0
             : errno;
}

// Sets a parameter for every byte on the line, and answers with the errno of each.
[[noreturn]] void set_as_asked(int line, int proc_fd, const SandboxRequest& request) {
  set_process_title("coracle-namespaces");
  prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  Reader reader(request.sysctls.data, request.sysctls.size);
  char go;
  bool root = false;
  while (read(line, &go, 1) == 1) {
    Str name, value;
    reader(name), reader(value);
    int32_t code = root ? 0 : become_root();
    root = code == 0;
    if (root) code = write_sysctl(proc_fd, name, value).code;
    if (write(line, &code, sizeof(code)) != sizeof(code)) break;
  }
  _exit(0);
}

Error start_maker(const SandboxRequest& request, int proc_fd, Maker* maker) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return failed("open line");
  maker->line = Fd(pair[0]);
  const Fd theirs(pair[1]);
  int pidfd = -1;
  sys::CloneArgs args;
  args.flags = sys::kCloneNewUser | sys::kClonePidfd | request.unshare_flags;
  args.pidfd = reinterpret_cast<uintptr_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  const pid_t pid = sys::clone3(args);
  if (pid < 0) return failed("make user namespace");
  if (pid == 0) {
    maker->line.reset();
    set_as_asked(theirs.get(), proc_fd, request);
  }
  maker->pid = pid;
  maker->pidfd.reset(pidfd);
  return {};
}

Error write_map(int proc_fd, pid_t pid, const char* name, const IdMap& map) {
  char path[32], line[48];
  snprintf(path, sizeof(path), "%d/%s", pid, name);
  const int size = snprintf(line, sizeof(line), "0 %u %u\n", map.host, map.length);
  const Fd file(openat(proc_fd, path, O_WRONLY | O_CLOEXEC));
  if (!file || write(file.get(), line, static_cast<size_t>(size)) != size) {
    return failed("write id map", name);
  }
  return {};
}

// Which of the two roots may write a parameter differs: those of the network go by the ids and the
// privileges of the namespace; those of IPC by the host's root up to Linux 6.8, by the namespace's
// since.
Error set_sysctls(const SandboxRequest& request, int proc_fd, const Maker& maker) {
  Reader reader(request.sysctls.data, request.sysctls.size);
  for (uint16_t place = 0; place < request.sysctl_count; ++place) {
    Str name, value;
    reader(name), reader(value);
    if (!reader.ok()) return Error{EINVAL, "decode sysctls", ""};
    int32_t code = 0;
    if (write(maker.line.get(), "", 1) != 1 ||
        recv(maker.line.get(), &code, sizeof(code), MSG_WAITALL) != sizeof(code)) {
      return Error{ECHILD, "set sysctl", name.data};
    }
    if (code == 0) continue;
    if (code != EACCES && code != EPERM) return Error{code, "set sysctl", name.data};
    if (Error error = write_sysctl(proc_fd, name, value); !error.ok()) return error;
  }
  return reader.done() ? Error{} : Error{EINVAL, "decode sysctls", ""};
}

// Layers and the directories of containers with the pod's ids, for all of its containers.
Error map_data(Pod* pod) {
  if (mkdir(kMappedDataDir, 0755) != 0) return failed("mkdir", kMappedDataDir);
  const Fd tree(sys::open_tree(AT_FDCWD, kDataDir, sys::kOpenTreeClone));
  if (!tree) return failed("open root directory");
  sys::MountAttr mapped;
  mapped.set = sys::kMountAttrIdmap;
  mapped.userns_fd = static_cast<uint64_t>(pod->userns.get());
  if (sys::mount_setattr(tree.get(), "", sys::kAtEmptyPath, mapped) != 0) {
    return failed("map ids (file system must allow it)", "root directory");
  }
  if (sys::move_mount(tree.get(), "", AT_FDCWD, kMappedDataDir, sys::kMoveMountFromEmptyPath) !=
      0) {
    return failed("attach root directory", kMappedDataDir);
  }
  return {};
}

}  // namespace

Error make_user_namespace(const SandboxRequest& request, Pod* pod) {
  const int proc_fd = pod->proc.get();
  Maker maker;
  Error error = start_maker(request, proc_fd, &maker);
  if (error.ok()) error = write_map(proc_fd, maker.pid, "gid_map", request.gids);
  if (error.ok()) error = write_map(proc_fd, maker.pid, "uid_map", request.uids);
  if (!error.ok()) return error;
  char path[32];
  snprintf(path, sizeof(path), "%d/ns/user", maker.pid);
  pod->userns.reset(openat(proc_fd, path, O_RDONLY | O_CLOEXEC));
  if (!pod->userns) return failed("open user namespace");
  if (request.unshare_flags != 0 &&
      sys::setns(maker.pidfd.get(), static_cast<int>(request.unshare_flags)) != 0) {
    return failed("join namespaces of the pod");
  }
  error = set_sysctls(request, proc_fd, maker);
  if (error.ok()) error = map_data(pod);
  if (!error.ok()) return error;
  pod->context.userns_fd = pod->userns.get();
  pod->context.root_uid = request.uids.host;
  pod->context.root_gid = request.gids.host;
  pod->context.data_dir = kMappedDataDir;
  return {};
}

}  // namespace coracle
