// Connecting a socket that was made elsewhere, as in a pod's network namespace.
#ifndef CORACLE_NATIVE_ADDON_SOCKET_CONNECT_H_
#define CORACLE_NATIVE_ADDON_SOCKET_CONNECT_H_

#include <stdint.h>
#include <uv.h>

#include <functional>
#include <memory>
#include <string>

#include "native/addon/failure.h"
#include "native/addon/uv_poll.h"
#include "native/sys/fd.h"

namespace coracle {

// Loop thread only. One connect(2) that does not block.
class SocketConnect {
 public:
  using Done = std::function<void(const Failure&)>;

  // Connects `fd` to an IPv4 or IPv6 address and calls `done` once, from the loop; keeps the loop
  // alive until then. Fails with ETIMEDOUT after `timeout_ms`. Makes the socket non-blocking. The
  // descriptor stays the caller's, who may close it at any time.
  SocketConnect(uv_loop_t* loop, int fd, const std::string& address, uint16_t port,
                uint64_t timeout_ms, Done done);
  ~SocketConnect();
  SocketConnect(const SocketConnect&) = delete;
  SocketConnect& operator=(const SocketConnect&) = delete;

 private:
  Failure begin(int fd, uint16_t port);
  void arm(uint64_t timeout_ms);
  void on_writable();
  // Calls `done`, which destroys this object.
  void finish(const Failure& failure);

  std::string address_;
  Failure failure_;  // to be told from the loop
  Done done_;
  Fd socket_;  // a duplicate, polled beside the caller's
  std::unique_ptr<UvPoll> poll_;
  uv_timer_t* timer_;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_SOCKET_CONNECT_H_
