#include "native/monitor/reply.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native/monitor/watch.h"

namespace coracle {
namespace {

constexpr uint32_t kMaxPath = 4096;

void send_to(Monitor& monitor, uint32_t slot, const uint8_t* bytes, size_t size, Fd fd) {
  Connection& connection = monitor.connections[slot];
  const bool queued_before = connection.has_queue();
  if (!connection.send(bytes, size, std::move(fd))) {
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

size_t put_frame(uint8_t* out, MessageType type, uint32_t sequence, const uint8_t* body,
                 size_t size) {
  Frame frame;
  frame.type = type;
  frame.sequence = sequence;
  memcpy(out, &frame, sizeof(frame));
  memcpy(out + sizeof(frame), body, size);
  return sizeof(frame) + size;
}

}  // namespace

void send_body(Monitor& monitor, const PendingReply& to, const uint8_t* body, size_t size, Fd fd) {
  if (!to.wanted) return;
  const Connection& connection = monitor.connections[to.connection];
  if (!connection.is_open() || connection.generation() != to.generation) return;
  uint8_t bytes[sizeof(Frame) + kSmallBody];
  const auto type = static_cast<MessageType>(static_cast<uint16_t>(to.type) |
                                             static_cast<uint16_t>(MessageType::kReply));
  if (size <= kSmallBody) {
    const size_t total = put_frame(bytes, type, to.sequence, body, size);
    send_to(monitor, to.connection, bytes, total, std::move(fd));
    return;
  }
  Fd file = body_file(body, size);
  if (!file) {
    close_client(monitor, to.connection);
    return;
  }
  Frame frame;
  frame.type = type;
  frame.sequence = to.sequence;
  frame.flags = kBodyInFd;
  memcpy(bytes, &frame, sizeof(frame));
  send_to(monitor, to.connection, bytes, sizeof(frame), std::move(file));
}

void send_event(Monitor& monitor, MessageType type, const uint8_t* body, size_t size) {
  uint8_t bytes[sizeof(Frame) + kSmallBody];
  if (size > kSmallBody) return;
  const size_t total = put_frame(bytes, type, 0, body, size);
  for (uint32_t slot = 0; slot < Monitor::kMaxConnections; ++slot) {
    if (monitor.connections[slot].is_open()) send_to(monitor, slot, bytes, total, Fd());
  }
}

void reply_error(Monitor& monitor, const PendingReply& to, int code, const char* step,
                 const char* path) {
  Outcome outcome;
  outcome.code = code;
  outcome.step = Str{step, static_cast<uint32_t>(strlen(step))};
  char shown[kMaxPath];
  const auto size = static_cast<uint32_t>(strnlen(path, kMaxPath - 1));
  memcpy(shown, path, size);
  shown[size] = 0;
  outcome.path = Str{shown, size};
  uint8_t body[kSmallBody];
  Writer writer(body, sizeof(body));
  encode(writer, outcome);
  if (writer.ok()) send_body(monitor, to, body, writer.size(), Fd());
}

}  // namespace coracle
