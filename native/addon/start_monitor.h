// Starts a pod's monitor.
#ifndef CORACLE_NATIVE_ADDON_START_MONITOR_H_
#define CORACLE_NATIVE_ADDON_START_MONITOR_H_

#include <string>

#include "native/addon/sealed_executable.h"
#include "native/addon/vfork_exec.h"

namespace coracle {

struct MonitorSpawn {
  std::string executable;
  std::string pod_id;
  std::string socket;
};

// Binds the socket, starts the monitor with it as descriptor 3 and connects; the monitor accepts
// when it is up. Blocks for the exec of a static binary only. On failure no socket file is left.
Failure start_monitor(SealedExecutable& cache, const MonitorSpawn& spawn, Child* monitor,
                      Fd* connection);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_START_MONITOR_H_
