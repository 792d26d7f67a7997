// One process that the monitor has launched: a container's init or an exec.
#ifndef CORACLE_NATIVE_MONITOR_ENTRY_H_
#define CORACLE_NATIVE_MONITOR_ENTRY_H_

#include <stdint.h>
#include <sys/types.h>

#include "native/launch/launch.h"
#include "native/monitor/entry_id.h"
#include "native/monitor/joined_cgroups.h"
#include "native/monitor/log_file.h"
#include "native/monitor/log_pump.h"
#include "native/plan/protocol.h"

namespace coracle {

//            launch()        kReady          kStart          exec seen
//   (free) ──────────► kPreparing ────► kParked ────► kStarting ────► kRunning
//                          │               │  died        │               │ exited
//                   error, │               └──────────────┼───► kExiting ─┴──► kExited ──► (free)
//                   death  └────────► kFailing ◄──────────┘     drains,        until
//                                     until reaped ──► (free)   announces      kDelete
//
// A run stays in kPreparing until its end, as nobody waits for what comes before. It is free then.
enum class Phase : uint8_t {
  kFree = 0,
  kPreparing,
  kParked,
  kStarting,
  kRunning,
  kExiting,
  kExited,
  kFailing,
};

// A request that is answered later, and by whom it was made.
struct PendingReply {
  uint32_t connection = 0;
  uint32_t generation = 0;
  uint32_t sequence = 0;
  MessageType type = MessageType::kHello;
  bool wanted = false;
};

// Why a launch or start has failed; kept until the process is reaped.
struct Failure {
  int32_t code = 0;
  char step[64] = {};
  char path[sizeof(Report::path)] = {};
};

struct Entry {
  Phase phase = Phase::kFree;
  bool exec = false;
  bool start_at_once = false;
  bool run = false;  // nobody is told anything before its end: see kRun
  bool kill_cgroup_on_exit = false;
  bool deleting = false;
  bool ready_seen = false;
  bool end_unknown = false;  // it has ended, and nobody says how: a tracer holds it
  bool cgroup_done = false;  // nothing is left to be killed in the cgroup
  bool record_owed = false;  // the exit record could not be written yet
  bool attachable = false;   // streams without a log are pumped, too
  bool stdin_once = false;   // the first input that ends is the last
  uint8_t clients = 0;       // attach clients
  uint32_t generation = 0;
  char id[kMaxId + 1] = {};
  char parent[kMaxId + 1] = {};

  Launched process;       // owned: close with close_process()
  Fd kill_fd;             // cgroup.kill (v2) or cgroup.procs (v1)
  Fd procs_fd;            // cgroup.procs of v2, for signals other than SIGKILL
  JoinedCgroups cgroups;  // of a container

  uint64_t started_at = 0;   // CLOCK_REALTIME, ns
  uint64_t finished_at = 0;  // CLOCK_REALTIME, ns
  int32_t wait_status = 0;

  LogMode log_mode = LogMode::kNone;
  uint32_t max_line = 0;
  Fd raw_terminal;  // where a terminal's bytes go; its pump takes it
  LogFile log;
  LogPump pumps[2];  // by Stream; a terminal uses the first
  Fd stdin_end;      // held open, so that a client that leaves does not end stdin

  uint64_t asked_at = 0;     // CLOCK_MONOTONIC, ns: the launch, or what comes before the execve
  uint64_t announce_by = 0;  // CLOCK_MONOTONIC: draining and killing hold the event no longer
  uint64_t drained_from[2] = {};  // moved_bytes() of the pumps when the exit was seen

  PendingReply reply;         // to kLaunch, kStart or kRun
  PendingReply delete_reply;  // to kDelete
  Failure failure;
  LaunchReply ready;  // what the child said, for a reply that waits for execve
  uint32_t groups[kMaxGroups] = {};

  bool alive() const { return phase != Phase::kFree && phase != Phase::kExited; }
  uint64_t dropped_bytes() const {
    return log.dropped_bytes() + pumps[0].dropped_bytes() + pumps[1].dropped_bytes();
  }
  EntryStatus status() const;
  void close_process();
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_ENTRY_H_
