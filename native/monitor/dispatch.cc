#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "native/monitor/monitor.h"
#include "native/monitor/reply.h"

namespace coracle {
namespace {

void handle_hello(Monitor& monitor, const PendingReply& from) {
  HelloReply hello;
  hello.pid = static_cast<uint32_t>(getpid());
  hello.pod = Str{monitor.pod_id, static_cast<uint32_t>(strlen(monitor.pod_id))};
  hello.has_sandbox = monitor.pod.made ? 1 : 0;
  reply(monitor, from, hello);
}

}  // namespace

void dispatch(Monitor& monitor, const PendingReply& from, Message& message) {
  switch (from.type) {
    case MessageType::kHello:
      return handle_hello(monitor, from);
    case MessageType::kPrepare:
      return handle_prepare(monitor, from, message);
    case MessageType::kSandbox:
      return handle_sandbox(monitor, from, message);
    case MessageType::kLaunch:
    case MessageType::kRun:
      return handle_launch(monitor, from, message);
    case MessageType::kStart:
      return handle_start(monitor, from, message);
    case MessageType::kSignal:
      return handle_signal(monitor, from, message);
    case MessageType::kDelete:
      return handle_delete(monitor, from, message);
    case MessageType::kReopenLog:
      return handle_reopen_log(monitor, from, message);
    case MessageType::kResize:
      return handle_resize(monitor, from, message);
    case MessageType::kState:
      return handle_state(monitor, from);
    case MessageType::kSocket:
      return handle_socket(monitor, from, message);
    case MessageType::kShutdown:
      return handle_shutdown(monitor, from);
    case MessageType::kTerminal:
      return handle_terminal(monitor, from, message);
    case MessageType::kAttach:
      return handle_attach(monitor, from, message);
    default:
      return reply_error(monitor, from, ENOSYS, "serve request");
  }
}

}  // namespace coracle
