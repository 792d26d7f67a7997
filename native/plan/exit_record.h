// The exit record: how a process ended, on the state tmpfs, written before it is reaped.
//
// One file a container, `<state>/pods/<pod>/exits/<id>` (execs leave none), renamed to that from
// `.<id>.new`, whose space is taken at the launch. TypeScript reads it in
// src/runtime/exit-record.ts when the monitor itself is gone.
#ifndef CORACLE_NATIVE_PLAN_EXIT_RECORD_H_
#define CORACLE_NATIVE_PLAN_EXIT_RECORD_H_

#include <stdint.h>

namespace coracle {

struct ExitRecord {
  uint32_t magic = 0x54495845;  // "EXIT"
  uint32_t version = 1;
  int32_t wait_status = 0;  // exit code << 8, or the signal, as of waitid(2)
  uint32_t pid = 0;
  uint64_t started_at = 0;   // CLOCK_REALTIME, ns
  uint64_t finished_at = 0;  // CLOCK_REALTIME, ns
  uint64_t dropped_bytes = 0;
  uint32_t reserved = 0;
  uint32_t checksum = 0;  // sum of the preceding bytes, each multiplied by its place plus 1
};
static_assert(sizeof(ExitRecord) == 48);

}  // namespace coracle

#endif  // CORACLE_NATIVE_PLAN_EXIT_RECORD_H_
