// Counts what runs in cgroups, and what it has open.
#ifndef CORACLE_NATIVE_ADDON_COUNT_PROCESSES_H_
#define CORACLE_NATIVE_ADDON_COUNT_PROCESSES_H_

#include <stdint.h>

#include <optional>
#include <string>
#include <vector>

namespace coracle {

struct ProcessCounts {
  uint64_t processes = 0;
  uint64_t threads = 0;
  // Of all processes together: one that is shared counts once for each. Absent where they were
  // not asked for, or where this process may not look into one (CAP_SYS_PTRACE, ptrace(2)).
  std::optional<uint64_t> descriptors;
  std::optional<uint64_t> sockets;
};

struct CountRequest {
  std::vector<std::string> cgroups;  // directories in cgroupfs, v1 or v2
  bool descriptors = false;          // look into /proc/PID/fd, about 1 µs a descriptor
};

// In the order of the cgroups, those below included; none where a cgroup is gone. Processes that
// come and go meanwhile may be missed. Blocks: for a worker thread.
std::vector<std::optional<ProcessCounts>> count_processes(const CountRequest& request);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_COUNT_PROCESSES_H_
