// The unix socket between a server and a monitor.
#ifndef CORACLE_NATIVE_ADDON_MONITOR_SOCKET_H_
#define CORACLE_NATIVE_ADDON_MONITOR_SOCKET_H_

#include <stdint.h>
#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "native/addon/failure.h"
#include "native/plan/protocol.h"
#include "native/sys/fd.h"

namespace coracle {

// A SOCK_SEQPACKET socket bound at `path`, mode 0600, not yet listening. The path may be longer
// than sun_path: it is reached through its directory's descriptor in /proc/self/fd.
Failure bind_socket(const std::string& path, Fd* socket);

// Connects, non-blocking. `peer` is the process that called listen(2). A peer of another user
// (but root) is refused with EPERM.
Failure connect_socket(const std::string& path, Fd* socket, pid_t* peer);

// Sends one message. `again` is set, and nothing sent, where the socket's buffer is full.
Failure send_message(int socket, const Frame& frame, std::span<const uint8_t> body,
                     const std::vector<Fd>& fds, bool* again);

struct Received {
  enum class State { kMessage, kAgain, kEnd };
  State state = State::kAgain;
  Frame frame;
  Bytes body;                  // in the caller's buffer, or in `large`
  std::vector<uint8_t> large;  // a body that came in a memfd
  std::vector<Fd> fds;         // close-on-exec; without the body's memfd
};

// Bytes that receive_message needs as its buffer.
inline constexpr size_t kReceiveBuffer = sizeof(Frame) + kInlineBody;

// Receives one message. A malformed one is an EPROTO failure.
Failure receive_message(int socket, std::span<uint8_t> buffer, Received* received);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_MONITOR_SOCKET_H_
