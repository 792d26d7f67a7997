// What the addon keeps for one JavaScript environment (the main thread or a worker thread), and
// the promises it hands out there. There is no other mutable state.
#ifndef CORACLE_NATIVE_ADDON_JS_ENVIRONMENT_H_
#define CORACLE_NATIVE_ADDON_JS_ENVIRONMENT_H_

#include <napi.h>
#include <uv.h>

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "native/addon/helper_process.h"
#include "native/addon/js_values.h"
#include "native/addon/long_work.h"
#include "native/addon/monitor_client.h"
#include "native/addon/sealed_executable.h"
#include "native/addon/socket_connect.h"

namespace coracle {

// Used on the environment's own thread only. Made when the addon is loaded, deleted with the
// environment, after the cleanup hook has ended everything that is still open.
class Environment {
 public:
  // Registers itself with `env`.
  static Environment& create(Napi::Env env);
  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  uv_loop_t* loop = nullptr;
  SealedExecutable executable;
  std::vector<uint8_t> receive_buffer;
  std::set<std::shared_ptr<MonitorClient>> clients;
  std::list<std::unique_ptr<HelperProcess>> helpers;
  std::list<std::unique_ptr<SocketConnect>> connects;
  LongWorks long_works;
  Napi::FunctionReference prepared_plan, monitor_connection;  // constructors

  // Reaps a monitor that this process has started, once it exits.
  void watch_child(Child child);

 private:
  struct WatchedChild {
    Child child;
    std::unique_ptr<UvPoll> poll;
  };
  static void clean_up(void* environment);

  std::map<int, WatchedChild> children_;  // by pidfd
};

// Runs `call` as an entry from the loop into JavaScript: with a handle scope, and with microtasks
// run afterwards. What it throws becomes an uncaught exception. When the environment is being
// torn down, nothing may run any more and errors are dropped.
void enter_javascript(Napi::Env env, const std::function<void()>& call);

// A promise that native code settles. Copies settle the same promise. The first settling counts.
class Settler {
 public:
  explicit Settler(Napi::Env env);
  Napi::Promise promise() const { return promise_; }  // only in the scope that made it
  void resolve(napi_value value) const;
  void reject(const Failure& failure) const;
  void reject(napi_value error) const;
  Napi::Env env() const { return env_; }

 private:
  Napi::Env env_;
  napi_deferred deferred_ = nullptr;
  Napi::Promise promise_;
};

// Gives `call` a promise to settle; what wrong arguments throw becomes its rejection.
Napi::Value promised(Napi::Env env, const std::function<void(const Settler&)>& call);

// Runs `work` on a thread of libuv's pool and then `done` on the environment's thread, inside
// enter_javascript. Neither runs, or only `work` does, when the environment ends first.
void run_work(Napi::Env env, std::function<void()> work, std::function<void()> done);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_JS_ENVIRONMENT_H_
