#include <errno.h>

#include "native/monitor/monitor.h"
#include "native/monitor/reply.h"

namespace coracle {

void handle_prepare(Monitor& monitor, const PendingReply& from, Message& message) {
  PrepareRequest request;
  if (!decode(message.body, request)) {
    return reply_error(monitor, from, EINVAL, "decode prepare request");
  }
  if (monitor.shutting_down) return reply_error(monitor, from, ESHUTDOWN, "prepare sandbox");
  if (monitor.pod.begun || monitor.pod.prepared) {
    return reply_error(monitor, from, EALREADY, "prepare sandbox");
  }
  const Error error = prepare_pod(request.unshare_flags, &monitor.pod);
  if (!error.ok()) return reply_error(monitor, from, error.code, error.step, error.path);
  reply_done(monitor, from);
}

}  // namespace coracle
