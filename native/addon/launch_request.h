// What a launch sends: the encoded plan with this launch's descriptors in place.
#ifndef CORACLE_NATIVE_ADDON_LAUNCH_REQUEST_H_
#define CORACLE_NATIVE_ADDON_LAUNCH_REQUEST_H_

#include <stdint.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "native/addon/failure.h"
#include "native/addon/mount_identity.h"
#include "native/addon/open_log.h"
#include "native/addon/plan_builder.h"
#include "native/sys/fd.h"

namespace coracle {

struct StdioRequest {
  enum class Type { kNull, kLog, kFd, kPipe };
  Type type = Type::kNull;
  Fd fd;  // kFd: our duplicate of the caller's
};

// One launch, from the call to the message. Made on the loop's thread, completed on a worker.
struct LaunchRequest {
  std::shared_ptr<const EncodedPlan> plan;
  std::array<StdioRequest, 3> stdio;
  LogMode log_mode = LogMode::kNone;
  LogPath log;  // kCri
  uint32_t max_line = 16384;
  Fd raw_stdout, raw_stderr;  // kRaw
  bool start_at_once = false;
  bool embryo = false;        // started later: its start opens the log
  uint32_t attach_flags = 0;  // kAttachable, kHoldStdin, kStdinOnce
  // Of a run, instead of the plan's.
  std::string id;
  std::vector<std::string> argv;
  bool cgroups_are_known = false;  // to the monitor: see kRun

  // Filled in by open_launch.
  std::vector<uint8_t> body;
  std::vector<Fd> fds;                 // in the order of the message
  std::array<Fd, 3> pipes;             // our ends, non-blocking
  std::vector<MountIdentity> sources;  // of an embryo
};

// The start of an embryo. Likewise.
struct EmbryoStart {
  std::shared_ptr<const EncodedPlan> plan;
  std::vector<MountIdentity> sources;
  bool has_log = false;
  LogPath log;

  std::vector<Fd> fds;
};

// Opens every host path of the plan, the log and the pipes, and encodes the body. May block on
// slow file systems: never on the loop. On failure everything opened is closed with `request`.
Failure open_launch(LaunchRequest& request);

// Checks that the mount sources are what the launch has found, and opens the log. May block, too.
Failure open_start(EmbryoStart& start);

// A detached copy (open_tree(2), Linux 5.2) of the mount at `path`, following symbolic links.
Failure open_mount_tree(const std::string& path, bool recursive, Fd* tree);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_LAUNCH_REQUEST_H_
