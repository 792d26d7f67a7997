// Starts a pod's monitor.
#ifndef CORACLE_NATIVE_ADDON_START_MONITOR_H_
#define CORACLE_NATIVE_ADDON_START_MONITOR_H_

#include <string>

#include "native/addon/vfork_exec.h"

namespace coracle {

struct MonitorSpawn {
  std::string executable;
  Fd sealed;  // what runs: a copy of it
  std::string pod_id;
  std::string failpoints;  // native/sys/failpoint.h; mostly empty
  std::string socket;
};

struct StartedMonitor {
  Failure failure;
  Child child;  // also where a started one has failed
  Fd connection;
};

// Binds the socket, starts the monitor with it as descriptor 3 and connects; the monitor accepts
// when it is up. Blocks for the exec of a static binary only. On failure no socket file is left.
StartedMonitor start_monitor(const MonitorSpawn& spawn);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_START_MONITOR_H_
