#include "native/addon/start_monitor.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "native/addon/monitor_socket.h"
#include "native/sys/syscalls.h"

namespace coracle {

Failure start_monitor(SealedExecutable& cache, const MonitorSpawn& spawn, Child* monitor,
                      Fd* connection) {
  int executable = -1;
  Failure failure = cache.get(spawn.executable, &executable);
  if (failure.failed()) return failure;
  Fd listener;
  failure = bind_socket(spawn.socket, &listener);
  if (failure.failed()) return failure;

  std::string name = "coracle-monitor", pod = spawn.pod_id;
  char* const argv[] = {name.data(), pod.data(), nullptr};
  // A test's wish, and nothing else, is passed on; src/failpoint.ts.
  const char* wish = getenv("CORACLE_MONITOR_FAILPOINTS");
  std::string failpoints = wish == nullptr ? "" : std::string("CORACLE_FAILPOINTS=") + wish;
  char* const env[] = {failpoints.empty() ? nullptr : failpoints.data(), nullptr};
  ExecRequest request;
  request.file = spawn.executable.c_str();
  request.file_fd = executable;
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

}  // namespace coracle
