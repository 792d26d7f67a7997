#include <sys/epoll.h>
#include <sys/socket.h>

#include <utility>

#include "native/monitor/monitor.h"
#include "native/monitor/reply.h"
#include "native/monitor/watch.h"
#include "native/sys/failpoint.h"

namespace coracle {
namespace {

// How many requests of one client a turn serves before others have theirs.
constexpr int kRequestsPerTurn = 8;

bool has_clients(const Monitor& monitor) {
  for (const Connection& each : monitor.connections) {
    if (each.is_open()) return true;
  }
  return false;
}

}  // namespace

void accept_client(Monitor& monitor) {
  Fd socket(accept4(monitor.listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket || !is_trusted_peer(socket.get())) return;
  for (uint32_t slot = 0; slot < Monitor::kMaxConnections; ++slot) {
    if (monitor.connections[slot].is_open()) continue;
    const uint32_t generation = ++monitor.last_generation;
    watch(monitor, Source::kConnection, socket.get(), slot, generation, EPOLLIN);
    monitor.connections[slot].open(std::move(socket), generation);
    return;
  }
}

void close_client(Monitor& monitor, uint32_t slot) {
  Connection& connection = monitor.connections[slot];
  if (!connection.is_open()) return;
  const bool owner = connection.generation() == monitor.owner_generation;
  unwatch(monitor, Source::kConnection, connection.socket());
  connection.close();
  if (owner && monitor.pod.attached) begin_shutdown(monitor);
  // Nobody knows of it but who was connected, and it has nothing yet that could be lost.
  if (!monitor.pod.begun && !has_clients(monitor)) begin_shutdown(monitor);
}

void handle_client(Monitor& monitor, uint32_t slot, uint32_t generation, uint32_t events) {
  Connection& connection = monitor.connections[slot];
  const auto gone = [&] { return !connection.is_open() || connection.generation() != generation; };
  if (gone()) return;
  if ((events & EPOLLOUT) != 0) {
    if (!connection.flush()) return close_client(monitor, slot);
    if (!connection.has_queue()) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = tag_of(Source::kConnection, slot, generation);
      epoll_ctl(monitor.epoll.get(), EPOLL_CTL_MOD, connection.socket(), &event);
    }
  }
  if ((events & ~static_cast<uint32_t>(EPOLLOUT)) == 0) return;
  uint8_t* buffer = monitor.receive_buffer.data();
  for (int served = 0; served < kRequestsPerTurn && !gone() && buffer != nullptr; ++served) {
    Message message;
    int error = 0;
    const Received received = receive(connection.socket(), buffer, &message, &error);
    if (received == Received::kNothing) return;
    if (received == Received::kClosed) return close_client(monitor, slot);
    const PendingReply from{slot, generation, message.frame.sequence, message.frame.type, true};
    const int fault = sys::failpoint("monitor.received");
    if (fault != 0) error = fault;
    if (received == Received::kMalformed || fault != 0) {
      reply_error(monitor, from, error, "receive request");
    } else {
      dispatch(monitor, from, message);
    }
  }
}

}  // namespace coracle
