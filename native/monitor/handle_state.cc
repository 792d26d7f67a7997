#include <errno.h>

#include "native/monitor/monitor.h"
#include "native/monitor/reply.h"

namespace coracle {
namespace {

// The fields of StateReply, with the entries written in place rather than gathered first.
void encode_state(Writer& writer, Monitor& monitor) {
  Writer measure;
  monitor.entries.each([&](Entry& entry) { encode(measure, entry.status()); });
  encode(writer, Outcome{});
  writer(monitor.entries.size());
  writer(static_cast<uint32_t>(measure.size()));
  monitor.entries.each([&](Entry& entry) { encode(writer, entry.status()); });
}

}  // namespace

void handle_state(Monitor& monitor, const PendingReply& from) {
  Writer measure;
  encode_state(measure, monitor);
  Pages pages(measure.size());
  if (pages.data() == nullptr) return reply_error(monitor, from, ENOMEM, "list entries");
  Writer writer(pages.data(), pages.capacity());
  encode_state(writer, monitor);
  send_body(monitor, from, pages.data(), writer.size(), Fd());
}

}  // namespace coracle
