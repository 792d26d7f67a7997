// Signals a process that was seen earlier, and never another one that has taken its number.
#ifndef CORACLE_NATIVE_ADDON_KILL_PROCESS_H_
#define CORACLE_NATIVE_ADDON_KILL_PROCESS_H_

#include <stdint.h>
#include <sys/types.h>

#include "native/addon/failure.h"

namespace coracle {

// `start_ticks` is field 22 of /proc/PID/stat (proc(5)), in clock ticks since boot. ESRCH where
// the process is gone or another one has its number. `signal` 0 only checks.
Failure kill_process(pid_t pid, uint64_t start_ticks, int signal);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_KILL_PROCESS_H_
