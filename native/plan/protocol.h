// The protocol between a server (or embedding program) and a pod's monitor.
//
// One SOCK_SEQPACKET unix socket, one message a datagram: Frame, then a body. File descriptors
// ride along as SCM_RIGHTS. Every request has one reply with the same `sequence`; events have
// sequence 0. A body larger than kInlineBody travels in a memfd instead, the *first* descriptor,
// and the frame carries kBodyInFd. The protocol only grows: new message types, new trailing
// fields of replies; a monitor answers an unknown type with ENOSYS. Monitors outlive the server
// that started them, so a newer server must speak to older ones.
#ifndef CORACLE_NATIVE_PLAN_PROTOCOL_H_
#define CORACLE_NATIVE_PLAN_PROTOCOL_H_

#include "native/plan/codec.h"

namespace coracle {

inline constexpr uint32_t kMagic = 0x4c524f43;  // "CORL"
// Of this build. A server asks a monitor for its own (HelloReply) before it relies on what came
// later. 2: kAttach, the launch flags kAttachable, kHoldStdin and kStdinOnce, the id maps of a
// sandbox, and the steps from kActAsPodRoot to kLsmProfile. 3: kStart may bring the log. 4: kRun.
// 5: kPrepare.
inline constexpr uint16_t kProtocolVersion = 5;
inline constexpr size_t kInlineBody = 64 * 1024;
inline constexpr size_t kMaxBody = 8 * 1024 * 1024;
inline constexpr size_t kMaxFds = 250;  // below SCM_MAX_FD (253)

enum FrameFlags : uint32_t { kBodyInFd = 1u << 0 };

enum class MessageType : uint16_t {
  // requests
  kHello = 1,    // {} → HelloReply
  kSandbox = 2,  // SandboxRequest → SandboxReply. Once, first; makes the pod's namespaces
  kLaunch = 3,   // LaunchPlan + fds → LaunchReply: cloned, all steps done, parked before execve
  // EntryRequest → StartReply: execve has succeeded, or the error. With a descriptor: the log of an
  // entry that was launched with LogMode::kCri and without one.
  kStart = 4,
  kSignal = 5,     // SignalRequest → {}
  kDelete = 6,     // EntryRequest → {}: kills it if alive, forgets it and its exit record
  kReopenLog = 7,  // EntryRequest + fd → {}: answered after the switch
  kResize = 8,     // ResizeRequest → {}
  kState = 9,      // {} → StateReply
  kSocket = 10,    // SocketRequest → {} + fd: a socket made in the pod's network namespace
  kShutdown = 11,  // {} → {}: kills everything and ends the monitor
  kTerminal = 12,  // EntryRequest → {} + fd: the pty master, handed over
  kAttach = 13,    // AttachRequest + fds → {}: joins the streams of a running process
  // LaunchPlan + fds → RunReply: an exec without a terminal, started at once. Answered when it has
  // ended, is reaped and forgotten; no kExit tells of it. kDelete ends it before. JoinCgroup names
  // descriptors behind those of the message: the monitor has those of the container, in the order
  // in which its own launch has joined them. ESTALE: that joined others.
  kRun = 14,
  // PrepareRequest → {}. At most once, before kSandbox: does what every pod with these namespaces
  // needs. A monitor that is no pod yet ends when its last connection closes.
  kPrepare = 15,
  // events, sequence 0
  kExit = 64,  // ExitEvent
  // added to a request's type in its reply
  kReply = 0x8000,
};

struct Frame {
  uint32_t magic = kMagic;
  uint16_t version = kProtocolVersion;
  MessageType type = MessageType::kHello;
  uint32_t sequence = 0;
  uint32_t flags = 0;
};
static_assert(sizeof(Frame) == 16);

// Opens every reply body; the fields of the reply follow when `code` is 0.
struct Outcome {
  int32_t code = 0;  // errno
  Str step;          // what was being done: "exec", "mount overlay", "open mount source"
  Str path;          // on what
};
template <typename A>
void fields(A& a, auto& s, Outcome*) {
  a(s.code), a(s.step), a(s.path);
}

struct HelloReply {
  uint16_t version = kProtocolVersion;
  uint32_t pid = 0;
  Str pod;
  uint8_t has_sandbox = 0;
};
template <typename A>
void fields(A& a, auto& s, HelloReply*) {
  a(s.version), a(s.pid), a(s.pod), a(s.has_sandbox);
}

enum SandboxFlags : uint32_t {
  kSharedPid = 1u << 0,  // make a PID namespace with a reaper as process 1
  kAttached = 1u << 1,   // end the pod when the owner's connection closes
};

struct PrepareRequest {
  uint32_t unshare_flags = 0;  // what the SandboxRequest will say
};
template <typename A>
void fields(A& a, auto& s, PrepareRequest*) {
  a(s.unshare_flags);
}

// One line of a map of user_namespaces(7), for the ids from 0 on. Length 0: no map.
struct IdMap {
  uint32_t host = 0;  // what id 0 of the namespace is in the host
  uint32_t length = 0;
};

// fds[0]: a detached tree (open_tree) of the runtime's --root; fds[1]: the directory for exit
// records; fds[2], only where net_fd says so: a network namespace to join instead of making one.
struct SandboxRequest {
  uint32_t unshare_flags = 0;  // of CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS
  uint32_t flags = 0;
  int16_t net_fd = -1;
  Str hostname;           // set where CLONE_NEWUTS is given
  uint64_t shm_size = 0;  // bytes of the pod's /dev/shm; 0: none is made
  uint16_t sysctl_count = 0;
  Bytes sysctls;  // sysctl_count × { Str name; Str value }
  // Both or none: a user namespace for the pod, which owns the namespaces of `unshare_flags`.
  IdMap uids, gids;
};
template <typename A>
void fields(A& a, auto& s, SandboxRequest*) {
  a(s.unshare_flags), a(s.flags), a(s.net_fd), a(s.hostname), a(s.shm_size);
  a(s.sysctl_count), a(s.sysctls);
  a(s.uids.host), a(s.uids.length), a(s.gids.host), a(s.gids.length);
}

struct SandboxReply {
  uint32_t reaper_pid = 0;  // host pid, 0 without kSharedPid
};
template <typename A>
void fields(A& a, auto& s, SandboxReply*) {
  a(s.reaper_pid);
}

enum LaunchWarnings : uint32_t {
  kOomScoreClamped = 1u << 0,
  kRlimitClamped = 1u << 1,
};

// What the parts of a launch took, ns; 0: nothing of the kind was done, or not told.
struct LaunchTimes {
  uint64_t clone = 0;    // from the message to the child's first instruction
  uint64_t cgroup = 0;   // joining cgroups of v1; one of v2 is joined by the clone
  uint64_t mounts = 0;   // making the root file system and hiding parts of it
  uint64_t process = 0;  // what else the child did before it was ready
};
template <typename A>
void fields(A& a, auto& s, LaunchTimes*) {
  a.later(s.clone), a.later(s.cgroup), a.later(s.mounts), a.later(s.process);
}

struct LaunchReply {
  uint32_t pid = 0;  // host pid
  uint32_t uid = 0, gid = 0;
  uint32_t warnings = 0;
  uint16_t group_count = 0;
  Bytes groups;  // group_count × uint32_t
  LaunchTimes times;
  uint64_t exec_ns = 0;  // with kStartAtOnce: from being ready until execve was seen to be over
};
template <typename A>
void fields(A& a, auto& s, LaunchReply*) {
  a(s.pid), a(s.uid), a(s.gid), a(s.warnings), a(s.group_count), a(s.groups);
  fields(a, s.times, static_cast<LaunchTimes*>(nullptr));
  a.later(s.exec_ns);
}

// Of a run, `times.process` ends where the child loads its seccomp filter, or runs the program.
struct RunReply {
  int32_t wait_status = 0;  // as of waitid(2): exit code << 8, or the signal
  LaunchTimes times;
  uint64_t lasted_ns = 0;  // from the message until it was known to have ended
};
template <typename A>
void fields(A& a, auto& s, RunReply*) {
  a(s.wait_status);
  fields(a, s.times, static_cast<LaunchTimes*>(nullptr));
  a.later(s.lasted_ns);
}

struct EntryRequest {
  Str id;
};
template <typename A>
void fields(A& a, auto& s, EntryRequest*) {
  a(s.id);
}

struct StartReply {
  uint64_t started_at = 0;  // CLOCK_REALTIME ns, taken before the wake: never after finished_at
  uint64_t exec_ns = 0;     // from the wake until execve was seen to be over; 0: not told
};
template <typename A>
void fields(A& a, auto& s, StartReply*) {
  a(s.started_at);
  a.later(s.exec_ns);
}

struct SignalRequest {
  Str id;
  int32_t signal = 0;
  uint8_t all = 0;  // every process of its cgroup (kill_cgroup of the plan)
};
template <typename A>
void fields(A& a, auto& s, SignalRequest*) {
  a(s.id), a(s.signal), a(s.all);
}

struct ResizeRequest {
  Str id;
  uint16_t rows = 0, cols = 0;
};
template <typename A>
void fields(A& a, auto& s, ResizeRequest*) {
  a(s.id), a(s.rows), a(s.cols);
}

enum AttachFlags : uint32_t {
  kAttachStdout = 1u << 0,
  kAttachStderr = 1u << 1,
};

// The client makes the pipes and hands over one end of each.
struct AttachRequest {
  Str id;
  uint32_t flags = 0;
  int16_t output_fd = -1;  // the end that is written: AttachFrames
  int16_t input_fd = -1;   // the end that is read, or none: raw bytes for stdin or the terminal
};
template <typename A>
void fields(A& a, auto& s, AttachRequest*) {
  a(s.id), a(s.flags), a(s.output_fd), a(s.input_fd);
}

// What goes through an attach client's output: this head, then `size` bytes. Streams keep their
// order among each other. A pipe that ends without kEnd was cut off: its reader fell behind,
// or the monitor is gone.
enum class AttachStream : uint32_t {
  kEnd = 0,     // no bytes: the process has ended, and nothing follows
  kStdout = 1,  // no bytes: the stream has ended
  kStderr = 2,
};
struct AttachFrame {
  AttachStream stream = AttachStream::kEnd;
  uint32_t size = 0;
};
static_assert(sizeof(AttachFrame) == 8);

struct SocketRequest {
  int32_t domain = 0, type = 0, protocol = 0;
};
template <typename A>
void fields(A& a, auto& s, SocketRequest*) {
  a(s.domain), a(s.type), a(s.protocol);
}

enum class EntryState : uint8_t { kParked = 0, kRunning = 1, kExited = 2 };

struct EntryStatus {
  Str id;
  EntryState state = EntryState::kParked;
  uint8_t exec = 0;
  uint32_t pid = 0;
  uint64_t started_at = 0;     // ns, 0 while parked
  uint64_t finished_at = 0;    // ns, 0 while alive
  int32_t wait_status = 0;     // as of waitid(2): exit code << 8, or the signal
  uint64_t dropped_bytes = 0;  // log bytes lost to write errors
};
template <typename A>
void fields(A& a, auto& s, EntryStatus*) {
  a(s.id), a(s.state), a(s.exec), a(s.pid), a(s.started_at), a(s.finished_at), a(s.wait_status);
  a(s.dropped_bytes);
}

struct StateReply {
  uint32_t entry_count = 0;
  Bytes entries;  // entry_count × EntryStatus
};
template <typename A>
void fields(A& a, auto& s, StateReply*) {
  a(s.entry_count), a(s.entries);
}

// Sent after the log is drained and the exit record is written, before the process is reaped.
using ExitEvent = EntryStatus;

}  // namespace coracle

#endif  // CORACLE_NATIVE_PLAN_PROTOCOL_H_
