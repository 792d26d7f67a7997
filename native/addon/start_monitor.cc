#include "native/addon/start_monitor.h"

#include <signal.h>
#include <unistd.h>

#include "native/addon/monitor_socket.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

Failure start(const MonitorSpawn& spawn, Child* monitor, Fd* connection) {
  Fd listener;
  Failure failure = bind_socket(spawn.socket, &listener);
  if (failure.failed()) return failure;

  std::string name = "coracle-monitor", pod = spawn.pod_id;
  char* const argv[] = {name.data(), pod.data(), nullptr};
  std::string failpoints = "CORACLE_FAILPOINTS=" + spawn.failpoints;
  char* const env[] = {spawn.failpoints.empty() ? nullptr : failpoints.data(), nullptr};
  ExecRequest request;
  request.file = spawn.executable.c_str();
  request.file_fd = spawn.sealed.get();
  request.argv = argv;
  request.env = env;
  request.cwd = "/";
  request.fds[3] = listener.get();
  request.listen = true;
  failure = vfork_exec(request, monitor);
  if (failure.failed()) {
    unlink(spawn.socket.c_str());
    return failure;
  }
  pid_t peer = 0;
  failure = connect_socket(spawn.socket, connection, &peer);
  if (failure.failed()) {
    sys::pidfd_send_signal(monitor->pidfd.get(), SIGKILL);
    unlink(spawn.socket.c_str());
  }
  return failure;
}

}  // namespace

StartedMonitor start_monitor(const MonitorSpawn& spawn) {
  StartedMonitor started;
  started.failure = start(spawn, &started.child, &started.connection);
  return started;
}

}  // namespace coracle
