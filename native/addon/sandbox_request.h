// What the request for a pod's sandbox sends.
#ifndef CORACLE_NATIVE_ADDON_SANDBOX_REQUEST_H_
#define CORACLE_NATIVE_ADDON_SANDBOX_REQUEST_H_

#include <stdint.h>

#include <string>
#include <utility>
#include <vector>

#include "native/addon/failure.h"
#include "native/plan/protocol.h"
#include "native/sys/fd.h"

namespace coracle {

// Which the pod has of its own.
struct PodNamespaces {
  bool net = false, ipc = false, uts = false;
};

// Of clone(2), as the monitor's protocol has them.
uint32_t namespace_flags(const PodNamespaces& namespaces);

// SandboxSetup of src/native/types.ts.
struct SandboxSetup {
  PodNamespaces namespaces;
  bool shared_pid = false, attached = false;
  std::string hostname;
  uint64_t shm_size = 0;  // bytes
  std::vector<std::pair<std::string, std::string>> sysctls;
  std::string root_dir, exit_dir;
  IdMap uids, gids;  // length 0: no user namespace
};

struct SandboxMessage {
  SandboxSetup setup;
  // Filled in by open_sandbox.
  std::vector<uint8_t> body;
  std::vector<Fd> fds;
};

// Opens the two directories and encodes the body; may block on slow file systems. Of the root
// directory only its own mount is copied: what is mounted below it stays outside the pod, so that
// a monitor never keeps somebody's scratch mount busy.
Failure open_sandbox(SandboxMessage& message);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_SANDBOX_REQUEST_H_
