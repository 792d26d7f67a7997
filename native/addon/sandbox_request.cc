#include "native/addon/sandbox_request.h"

#include <fcntl.h>

#include "native/addon/launch_request.h"
#include "native/addon/plan_builder.h"
#include "native/plan/protocol.h"
#include "native/sys/syscalls.h"

namespace coracle {

uint32_t namespace_flags(const PodNamespaces& namespaces) {
  return static_cast<uint32_t>((namespaces.net ? sys::kCloneNewNet : 0) |
                               (namespaces.ipc ? sys::kCloneNewIpc : 0) |
                               (namespaces.uts ? sys::kCloneNewUts : 0));
}

Failure open_sandbox(SandboxMessage& message) {
  const SandboxSetup& setup = message.setup;
  Fd root;
  Failure failure = open_mount_tree(setup.root_dir, false, &root);
  if (failure.failed()) return Failure{failure.code, "open root directory", failure.path};
  Fd exits(open(setup.exit_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!exits) return system_failure("open exit directory", setup.exit_dir);

  std::vector<std::string> sysctls;
  for (const auto& [name, value] : setup.sysctls) {
    sysctls.push_back(name);
    sysctls.push_back(value);
  }
  const std::vector<uint8_t> encoded = encode_strings(sysctls);
  SandboxRequest request;
  request.unshare_flags = namespace_flags(setup.namespaces);
  request.flags = (setup.shared_pid ? kSharedPid : 0u) | (setup.attached ? kAttached : 0u);
  request.hostname = to_str(setup.hostname);
  request.shm_size = setup.shm_size;
  request.sysctl_count = static_cast<uint16_t>(setup.sysctls.size());
  request.sysctls = to_bytes(encoded);
  request.uids = setup.uids;
  request.gids = setup.gids;
  message.body = encode_bytes(request);
  message.fds.push_back(std::move(root));
  message.fds.push_back(std::move(exits));
  return {};
}

}  // namespace coracle
