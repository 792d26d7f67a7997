#include <errno.h>
#include <sys/epoll.h>

#include "native/monitor/monitor.h"
#include "native/monitor/reply.h"

namespace coracle {

void handle_sandbox(Monitor& monitor, const PendingReply& from, Message& message) {
  SandboxRequest request;
  if (!decode(message.body, request)) {
    return reply_error(monitor, from, EINVAL, "decode sandbox request");
  }
  if (monitor.shutting_down) return reply_error(monitor, from, ESHUTDOWN, "make sandbox");
  if (monitor.pod.begun) return reply_error(monitor, from, EALREADY, "make sandbox");
  monitor.pod.begun = true;
  monitor.owner_generation = from.generation;
  monitor.pod.attached = (request.flags & kAttached) != 0;
  const Error error = make_pod(request, message.fds, &monitor.pod);
  if (monitor.pod.reaper_pidfd) {
    watch(monitor, Source::kReaper, monitor.pod.reaper_pidfd.get(), 0, 0, EPOLLIN);
  }
  if (!error.ok()) return reply_error(monitor, from, error.code, error.step, error.path);
  SandboxReply made;
  made.reaper_pid = static_cast<uint32_t>(monitor.pod.reaper_pid);
  reply(monitor, from, made);
}

}  // namespace coracle
