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
  bool prepared = false;  // by prepare_pod()
  uint32_t unshared = 0;  // the namespaces that it has made
  bool begun = false;     // kSandbox has come; it is not taken twice
  bool made = false;      // and has succeeded
  bool attached = false;  // the pod ends with its owner's connection
  PodContext context;     // descriptors point into the owners below
  Fd data, shm, proc, pod_pidns, self_pidns, devnull, userns;
  Fd exit_dir;
  pid_t reaper_pid = 0;
  Fd reaper_pidfd;
};

// What a pod needs whatever else is asked of it: the monitor's own root, and the namespaces of
// `unshare_flags` with "lo" up. It changes the calling process as make_pod() does.
Error prepare_pod(uint32_t unshare_flags, Pod* pod);

// Carries out a SandboxRequest, which asks for the namespaces that prepare_pod() has made, if it
// was called before, and for no user namespace. It changes the calling process for good (mount,
// network, IPC and UTS namespace), so a failure leaves a monitor that can only be shut down.
Error make_pod(const SandboxRequest& request, FdList& fds, Pod* pod);

// Moves the process into a mount namespace of its own whose root is a small tmpfs:
//   /data    the runtime's root directory, by attach_data()
//   /rootfs  empty, where launched processes attach their root
//   /shm     the pod's /dev/shm, by attach_shm()
// and /dev/null, which prepare_pod() adds. A clone then copies four mounts rather than the host's
// table (0.9 µs per mount).
Error enter_root();

// `data_tree` is a detached tree of the runtime's root directory.
Error attach_data(int data_tree, Pod* pod);

// Where shm_size is not 0; the owner is the pod's root.
Error attach_shm(const SandboxRequest& request, Pod* pod);

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
