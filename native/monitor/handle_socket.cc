#include <errno.h>
#include <sys/socket.h>

#include <utility>

#include "native/monitor/monitor.h"
#include "native/monitor/reply.h"

namespace coracle {

// The monitor lives in the pod's network namespace, and a socket belongs to the namespace it was
// made in, wherever it is used later.
void handle_socket(Monitor& monitor, const PendingReply& from, Message& message) {
  SocketRequest request;
  if (!decode(message.body, request)) return reply_error(monitor, from, EINVAL, "make socket");
  if (!monitor.pod.made) return reply_error(monitor, from, ENOTCONN, "make socket");
  Fd socket(::socket(request.domain, request.type | SOCK_CLOEXEC, request.protocol));
  if (!socket) return reply_error(monitor, from, errno, "make socket");
  reply_done(monitor, from, std::move(socket));
}

}  // namespace coracle
