// The pod's namespaces and its place in the file system, which the monitor lives in itself.
#ifndef CORACLE_NATIVE_MONITOR_POD_H_
#define CORACLE_NATIVE_MONITOR_POD_H_

#include <sys/types.h>

#include "native/launch/launch.h"
#include "native/monitor/message.h"
#include "native/plan/protocol.h"
#include "native/sys/error.h"
#include "native/sys/fd.h"

namespace coracle {

struct Pod {
  bool begun = false;     // kSandbox has come; it is not taken twice
  bool made = false;      // and has succeeded
  bool attached = false;  // the pod ends with its owner's connection
  PodContext context;     // descriptors point into the owners below
  Fd data, shm, proc, pod_pidns, self_pidns, devnull, userns;
  Fd exit_dir;
  pid_t reaper_pid = 0;
  Fd reaper_pidfd;
};

// Carries out a SandboxRequest. It changes the calling process for good (mount, network, IPC and
// UTS namespace), so a failure leaves a monitor that can only be shut down.
Error make_pod(const SandboxRequest& request, FdList& fds, Pod* pod);

// Moves the process into a mount namespace of its own whose root is a small tmpfs:
//   /data    `data_tree`, a detached tree of the runtime's root directory
//   /rootfs  empty, where launched processes attach their root
//   /shm     the pod's /dev/shm, where shm_size is not 0; its owner is the pod's root
// and /dev/null, which make_pod() adds. A clone then copies four mounts rather than the host's
// table (0.9 µs per mount).
Error enter_root(int data_tree, const SandboxRequest& request, Pod* pod);

// Sets the interface "lo" of the current network namespace up (netdevice(7)).
Error raise_loopback();

// Writes one sysctl below `proc_fd`/sys; the error's path is its name.
Error write_sysctl(int proc_fd, const Str& name, const Str& value);

// Writes `count` sysctls, { Str name; Str value } each.
Error write_sysctls(int proc_fd, uint16_t count, Bytes sysctls);

// Makes a user namespace with the request's id maps and, owned by it, the namespaces of
// `unshare_flags`, which the calling process joins, but for the user namespace. Sets the sysctls,
// and mounts /data once more as kMappedDataDir. EINVAL where the file system of /data takes no
// id map. Overlays take such layers since Linux 5.19.
Error make_user_namespace(const SandboxRequest& request, Pod* pod);

// Starts process 1 of a new PID namespace: it reaps what the pod's processes leave behind and
// sees nothing of the runtime: no descriptors, no mounts, no privileges.
Error start_reaper(Pod* pod);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_POD_H_
