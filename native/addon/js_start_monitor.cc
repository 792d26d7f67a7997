// startMonitor and startMonitorAside.
#include <fcntl.h>
#include <stdlib.h>

#include "native/addon/js_monitor.h"

namespace coracle {
namespace {

MonitorSpawn read_spawn(const Napi::CallbackInfo& info) {
  const JsField spawn(info[0], "spawn");
  MonitorSpawn request;
  request.executable = spawn.get("executable").string();
  request.pod_id = spawn.get("podId").string();
  request.socket = spawn.get("socket").string();
  // A test's wish, and nothing else of the environment, is passed on; src/failpoint.ts.
  const char* wish = getenv("CORACLE_MONITOR_FAILPOINTS");
  if (wish != nullptr) request.failpoints = wish;
  int sealed = -1;
  Failure failure = Environment::of(info.Env()).executable.get(request.executable, &sealed);
  // A duplicate, since another start may renew the copy meanwhile.
  if (!failure.failed()) request.sealed.reset(fcntl(sealed, F_DUPFD_CLOEXEC, 0));
  if (!failure.failed() && !request.sealed) failure = system_failure("open", request.executable);
  if (failure.failed()) throw native_error(info.Env(), failure);
  return request;
}

}  // namespace

Napi::Value MonitorConnection::started(Napi::Env env, StartedMonitor& monitor) {
  const pid_t pid = monitor.child.pid;
  if (monitor.child.pidfd) Environment::of(env).watch_child(std::move(monitor.child));
  if (monitor.failure.failed()) throw native_error(env, monitor.failure);
  return make(env, std::move(monitor.connection), pid);
}

Napi::Value MonitorConnection::start(const Napi::CallbackInfo& info) {
  StartedMonitor monitor = start_monitor(read_spawn(info));
  return started(info.Env(), monitor);
}

Napi::Value MonitorConnection::start_aside(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    auto spawn = std::make_shared<MonitorSpawn>(read_spawn(info));
    auto monitor = std::make_shared<StartedMonitor>();
    run_work(
        info.Env(), [=] { *monitor = start_monitor(*spawn); },
        [=] {
          try {
            settler.resolve(started(settler.env(), *monitor));
          } catch (const Napi::Error& error) {
            settler.reject(error.Value());
          }
        });
  });
}

}  // namespace coracle
