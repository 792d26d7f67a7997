// One client of the monitor: a server, an embedding program, or a tool.
#ifndef CORACLE_NATIVE_MONITOR_CONNECTION_H_
#define CORACLE_NATIVE_MONITOR_CONNECTION_H_

#include <stddef.h>
#include <stdint.h>

#include "native/monitor/pages.h"
#include "native/plan/protocol.h"
#include "native/sys/fd.h"

namespace coracle {

// Sends never block. What the socket does not take waits in a bounded queue; a client that lets
// it fill up is not reading and is cut off.
class Connection {
 public:
  static constexpr size_t kQueueBytes = 1024 * 1024;

  void open(Fd socket, uint32_t generation);
  void close();

  // One datagram, `frame` and `size` bytes of body, and at most one descriptor, which is taken.
  // False: the connection is broken or its queue is full, close it.
  bool send(const Frame& frame, const uint8_t* body, size_t size, Fd fd);
  // Sends what is queued, as far as the socket takes it. False as above.
  bool flush();

  bool is_open() const { return static_cast<bool>(socket_); }
  bool has_queue() const { return head_ != tail_; }
  int socket() const { return socket_.get(); }
  uint32_t generation() const { return generation_; }

 private:
  struct Queued {
    Frame frame;
    uint32_t size;
    int fd;
  };
  enum class Sent : uint8_t { kYes, kLater, kBroken };
  Sent send_now(const Frame& frame, const uint8_t* body, size_t size, int fd);

  Fd socket_;
  uint32_t generation_ = 0;
  Pages queue_{kQueueBytes};
  size_t head_ = 0;
  size_t tail_ = 0;
};

// Whether the peer may drive this pod: root, or the user the monitor runs as (SO_PEERCRED).
bool is_trusted_peer(int socket);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_CONNECTION_H_
