// MonitorConnection of src/native/types.ts. One of the files that see napi.h.
#ifndef CORACLE_NATIVE_ADDON_JS_MONITOR_H_
#define CORACLE_NATIVE_ADDON_JS_MONITOR_H_

#include <napi.h>

#include <memory>

#include "native/addon/js_environment.h"
#include "native/addon/start_monitor.h"

namespace coracle {

// Keeps itself alive while the connection is open.
class MonitorConnection : public Napi::ObjectWrap<MonitorConnection> {
 public:
  static void define(Napi::Env env, Environment& environment);
  static Napi::Value start(const Napi::CallbackInfo& info);  // startMonitor
  // startMonitorAside
  static Napi::Value start_aside(const Napi::CallbackInfo& info);
  static Napi::Value connect(const Napi::CallbackInfo& info);  // connectMonitor

  explicit MonitorConnection(const Napi::CallbackInfo& info);

 private:
  // Puts a reply's fields into JavaScript.
  using ReadReply = std::function<Napi::Value(Napi::Env, Reader&, std::vector<Fd>&)>;

  static Napi::Value started(Napi::Env env, StartedMonitor& monitor);
  static Napi::Value make(Napi::Env env, Fd socket, pid_t pid);

  Napi::Value hello(const Napi::CallbackInfo& info);
  Napi::Value prepare(const Napi::CallbackInfo& info);
  Napi::Value sandbox(const Napi::CallbackInfo& info);
  Napi::Value launch(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value start_entry(const Napi::CallbackInfo& info);
  Napi::Value signal(const Napi::CallbackInfo& info);
  Napi::Value delete_entry(const Napi::CallbackInfo& info);
  Napi::Value reopen_log(const Napi::CallbackInfo& info);
  Napi::Value resize(const Napi::CallbackInfo& info);
  Napi::Value state(const Napi::CallbackInfo& info);
  Napi::Value socket(const Napi::CallbackInfo& info);
  Napi::Value terminal(const Napi::CallbackInfo& info);
  Napi::Value attach(const Napi::CallbackInfo& info);
  Napi::Value shutdown(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  void send(const Settler& settler, MessageType type, std::vector<uint8_t> body,
            std::vector<Fd> fds, ReadReply read);
  // Calls the function that the property holds, if it holds one.
  void emit(const char* property, const std::function<Napi::Value(Napi::Env)>& argument);
  void on_close();

  std::shared_ptr<MonitorClient> client_;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_JS_MONITOR_H_
