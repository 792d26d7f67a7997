// The state of one monitor, and what its parts may do to it. Single-threaded: everything here is
// touched by the main loop only.
#ifndef CORACLE_NATIVE_MONITOR_MONITOR_H_
#define CORACLE_NATIVE_MONITOR_MONITOR_H_

#include <stdint.h>

#include "native/monitor/attach_table.h"
#include "native/monitor/connection.h"
#include "native/monitor/entry_table.h"
#include "native/monitor/log_pump.h"
#include "native/monitor/message.h"
#include "native/monitor/pod.h"

namespace coracle {

// What an epoll event is about. Data sources have an epoll set of their own, one event of which
// is handled a turn: clients, exits and launches never wait for more than one chunk of a log.
enum class Source : uint8_t {
  kListener,
  kData,  // the data set
  kConnection,
  kReaper,
  kProcess,  // a pidfd
  kReport,
  kStream,  // data: a pipe or terminal to be read; slot, then stream
  kTarget,  // data: a receiver of raw bytes that was full
  // data, of an attach client; its place
  kOutput,       // its output pipe
  kInput,        // its input pipe
  kInputTarget,  // the stdin or terminal that was full
};

struct Monitor {
  static constexpr uint32_t kMaxConnections = 32;

  const char* pod_id = "";
  Fd listener;
  Fd epoll;
  Fd data_epoll;
  Connection connections[kMaxConnections];
  uint32_t last_generation = 0;
  uint32_t owner_generation = 0;  // of the connection that made the sandbox
  Pod pod;
  EntryTable entries;
  AttachTable clients;
  PumpBuffers buffers;
  Pages receive_buffer{kReceiveBuffer};
  uint32_t exiting = 0;   // entries in Phase::kExiting, or with something left to do
  uint64_t retry_at = 0;  // CLOCK_MONOTONIC of the next look at them; 0: none is needed
  uint32_t unreaped = 0;  // processes that are over for everybody but the kernel: see reap_entry()
  bool shutting_down = false;
  uint64_t shutdown_by = 0;  // CLOCK_MONOTONIC
  PendingReply shutdown_reply;
  bool done = false;
};

// ---- loop.cc
bool open_monitor(Monitor& monitor, int listener, const char* pod_id);
// Waits for events, no longer than `longest` ms unless that is negative, and handles them.
void turn(Monitor& monitor, int longest);
// Turns until the monitor is done.
void run(Monitor& monitor);

// ---- watch.cc: descriptors in the epoll sets. Unwatch before closing: a parked child may hold a
// duplicate, and an epoll set lives as long as the open file does.
void watch(Monitor& monitor, Source source, int fd, uint32_t slot, uint32_t generation,
           uint32_t events);
void unwatch(Monitor& monitor, Source source, int fd);
void watch_process(Monitor& monitor, Entry& entry);
void watch_streams(Monitor& monitor, Entry& entry);
void close_stream(Monitor& monitor, LogPump& pump);

// ---- clients.cc
void accept_client(Monitor& monitor);
void close_client(Monitor& monitor, uint32_t slot);
void handle_client(Monitor& monitor, uint32_t slot, uint32_t generation, uint32_t events);

// ---- dispatch.cc
void dispatch(Monitor& monitor, const PendingReply& from, Message& message);

// ---- one file a request
void handle_prepare(Monitor& monitor, const PendingReply& from, Message& message);
void handle_sandbox(Monitor& monitor, const PendingReply& from, Message& message);
void handle_launch(Monitor& monitor, const PendingReply& from, Message& message);
void handle_start(Monitor& monitor, const PendingReply& from, Message& message);
void handle_signal(Monitor& monitor, const PendingReply& from, Message& message);
void handle_delete(Monitor& monitor, const PendingReply& from, Message& message);
void handle_reopen_log(Monitor& monitor, const PendingReply& from, Message& message);
void handle_resize(Monitor& monitor, const PendingReply& from, Message& message);
void handle_terminal(Monitor& monitor, const PendingReply& from, Message& message);
void handle_attach(Monitor& monitor, const PendingReply& from, Message& message);
void handle_state(Monitor& monitor, const PendingReply& from);
void handle_socket(Monitor& monitor, const PendingReply& from, Message& message);
void handle_shutdown(Monitor& monitor, const PendingReply& from);

// ---- launch_log.cc: makes the log of an entry and the stdio for its process. `child_ends`
// receives the pipe ends that only the child needs.
Error open_stdio(const LaunchPlan& plan, FdList& fds, Entry& entry, int stdio[3], Fd child_ends[3]);
void open_terminal_pump(Monitor& monitor, Entry& entry);

// ---- report.cc: what a child says, and how its launch or start comes out.
void handle_report(Monitor& monitor, Entry& entry);
// Kills the process; the request that waits is answered with `failure` once it is reaped.
void fail_launch(Monitor& monitor, Entry& entry);

// ---- exit.cc
void handle_process(Monitor& monitor, Entry& entry);
void continue_exits(Monitor& monitor);
// Takes an entry that has no process any more out of the table and answers who deletes it.
void release_entry(Monitor& monitor, Entry& entry);

// ---- attach_output.cc: copies for attach clients. None of these ever waits for a client.
void copy_to_clients(Monitor& monitor, Entry& entry, int stream, const uint8_t* bytes, size_t size);
void end_client_stream(Monitor& monitor, Entry& entry, int stream);
void tell_ended_streams(Monitor& monitor, Entry& entry, AttachClient& client);
// The process has ended, or is forgotten: its clients get the last frame and are let go of.
void end_clients(Monitor& monitor, Entry& entry);
void handle_output(Monitor& monitor, AttachClient& client, uint32_t events);

// ---- attach_input.cc: what attach clients type.
void open_input(Monitor& monitor, Entry& entry, AttachClient& client, Fd input);
void close_input(Monitor& monitor, AttachClient& client);
void handle_input(Monitor& monitor, AttachClient& client);
void handle_input_target(Monitor& monitor, AttachClient& client);
// Forgets a client of which neither end is open any more.
void release_client(Monitor& monitor, AttachClient& client);

// ---- stream.cc
// Moves one chunk to the log and to attach clients. After kEnded the caller closes the stream.
PumpState pump_stream(Monitor& monitor, Entry& entry, int stream);
void handle_stream(Monitor& monitor, Entry& entry, int stream);
void handle_target(Monitor& monitor, Entry& entry, int stream);

// ---- shutdown.cc
void begin_shutdown(Monitor& monitor);
void continue_shutdown(Monitor& monitor);
void handle_reaper_exit(Monitor& monitor);
// SIGKILL to an entry's process, and to its cgroup where the plan asks for that.
void kill_entry(Monitor& monitor, Entry& entry);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_MONITOR_H_
