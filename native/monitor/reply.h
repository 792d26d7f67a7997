// Answers and events: encoding a body and handing it to a connection.
#ifndef CORACLE_NATIVE_MONITOR_REPLY_H_
#define CORACLE_NATIVE_MONITOR_REPLY_H_

#include <utility>

#include "native/monitor/monitor.h"

namespace coracle {

struct Empty {};
template <typename A>
void fields(A&, auto&, Empty*) {}

// Sends a frame with an encoded body; a body beyond kInlineBody goes into a memfd. A client that
// can't take it is closed.
void send_body(Monitor& monitor, const PendingReply& to, const uint8_t* body, size_t size, Fd fd);

// To every client, sequence 0.
void send_event(Monitor& monitor, MessageType type, const uint8_t* body, size_t size);

// Largest body of a reply that is not a list of entries: an outcome with a path, 256 groups.
inline constexpr size_t kSmallBody = 2048;

template <typename T>
void reply(Monitor& monitor, const PendingReply& to, const T& message, Fd fd = Fd()) {
  uint8_t body[kSmallBody];
  Writer writer(body, sizeof(body));
  encode(writer, Outcome{});
  encode(writer, message);
  if (writer.ok()) send_body(monitor, to, body, writer.size(), std::move(fd));
}

inline void reply_done(Monitor& monitor, const PendingReply& to, Fd fd = Fd()) {
  reply(monitor, to, Empty{}, std::move(fd));
}

// `step` and `path` may be cut to fit.
void reply_error(Monitor& monitor, const PendingReply& to, int code, const char* step,
                 const char* path = "");

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_REPLY_H_
