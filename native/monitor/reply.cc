#include "native/monitor/reply.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native/monitor/watch.h"
#include "native/sys/failpoint.h"

namespace coracle {
namespace {

constexpr uint32_t kShownPath = 1024;

void send_to(Monitor& monitor, uint32_t slot, const Frame& frame, const uint8_t* body, size_t size,
             Fd fd) {
  Connection& connection = monitor.connections[slot];
  const bool queued_before = connection.has_queue();
  if (!connection.send(frame, body, size, std::move(fd))) {
    close_client(monitor, slot);
  } else if (connection.has_queue() && !queued_before) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT;
    event.data.u64 = tag_of(Source::kConnection, slot, connection.generation());
    epoll_ctl(monitor.epoll.get(), EPOLL_CTL_MOD, connection.socket(), &event);
  }
}

Fd body_file(const uint8_t* body, size_t size) {
  Fd file(memfd_create("reply", MFD_CLOEXEC));
  for (size_t done = 0; file && done < size;) {
    const ssize_t count = write(file.get(), body + done, size - done);
    if (count <= 0) return Fd();
    done += static_cast<size_t>(count);
  }
  return file;
}

}  // namespace

void send_body(Monitor& monitor, const PendingReply& to, const uint8_t* body, size_t size, Fd fd) {
  if (!to.wanted) return;
  const Connection& connection = monitor.connections[to.connection];
  if (!connection.is_open() || connection.generation() != to.generation) return;
  if (sys::failpoint("monitor.reply") != 0) return close_client(monitor, to.connection);
  Frame frame;
  frame.type = static_cast<MessageType>(static_cast<uint16_t>(to.type) |
                                        static_cast<uint16_t>(MessageType::kReply));
  frame.sequence = to.sequence;
  if (size <= kInlineBody) {
    send_to(monitor, to.connection, frame, body, size, std::move(fd));
    return;
  }
  Fd file = body_file(body, size);
  if (!file) {
    close_client(monitor, to.connection);
    return;
  }
  frame.flags = kBodyInFd;
  send_to(monitor, to.connection, frame, nullptr, 0, std::move(file));
}

void send_event(Monitor& monitor, MessageType type, const uint8_t* body, size_t size) {
  Frame frame;
  frame.type = type;
  for (uint32_t slot = 0; slot < Monitor::kMaxConnections; ++slot) {
    if (monitor.connections[slot].is_open()) send_to(monitor, slot, frame, body, size, Fd());
  }
}

void reply_error(Monitor& monitor, const PendingReply& to, int code, const char* step,
                 const char* path) {
  Outcome outcome;
  outcome.code = code;
  outcome.step = Str{step, static_cast<uint32_t>(strlen(step))};
  char shown[kShownPath];
  const auto size = static_cast<uint32_t>(strnlen(path, kShownPath - 1));
  memcpy(shown, path, size);
  shown[size] = 0;
  outcome.path = Str{shown, size};
  uint8_t body[kSmallBody];
  Writer writer(body, sizeof(body));
  encode(writer, outcome);
  if (writer.ok()) send_body(monitor, to, body, writer.size(), Fd());
}

}  // namespace coracle
