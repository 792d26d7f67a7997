#include "native/addon/js_monitor.h"

#include <limits.h>

#include "native/addon/attach_request.h"
#include "native/addon/js_plan.h"
#include "native/addon/js_replies.h"
#include "native/addon/sandbox_request.h"

namespace coracle {
namespace {

constexpr napi_type_tag kConnectionTag = {0x1d2e7c4b9a3f5068, 0x84b6f3a1590c2de7};

std::vector<uint8_t> entry_request(const Napi::CallbackInfo& info) {
  const std::string id = JsField(info[0], "id").string();
  return encode_bytes(EntryRequest{to_str(id)});
}

IdMap read_id_map(const JsField& map) {
  return IdMap{map.get("hostId").u32(),
               static_cast<uint32_t>(map.get("length").integer(1, UINT32_MAX))};
}

PodNamespaces read_namespaces(const JsField& setup) {
  return {setup.get("net").boolean(), setup.get("ipc").boolean(), setup.get("uts").boolean()};
}

SandboxSetup read_sandbox(const JsField& setup) {
  SandboxSetup out;
  out.namespaces = read_namespaces(setup);
  out.shared_pid = setup.get("sharedPid").boolean();
  out.attached = setup.get("attached").boolean();
  out.hostname = setup.get("hostname").string();
  out.shm_size = static_cast<uint64_t>(setup.get("shmSize").integer(0, int64_t{1} << 53));
  out.root_dir = setup.get("rootDir").string();
  out.exit_dir = setup.get("exitDir").string();
  const JsField users = setup.get("userNamespace");
  if (!users.missing()) {
    out.uids = read_id_map(users.get("uids"));
    out.gids = read_id_map(users.get("gids"));
  }
  const JsField sysctls = setup.get("sysctls");
  for (uint32_t i = 0; i < sysctls.length(); i++) {
    const JsField pair = sysctls.at(i);
    if (pair.length() != 2) pair.wrong("a pair of name and value");
    out.sysctls.emplace_back(pair.at(0).string(), pair.at(1).string());
  }
  if (out.sysctls.size() > UINT16_MAX) sysctls.wrong("a list of at most 65535");
  return out;
}

}  // namespace

void MonitorConnection::define(Napi::Env env, Environment& environment) {
  const Napi::Function constructor =
      DefineClass(env, "MonitorConnection",
                  {
                      InstanceMethod<&MonitorConnection::hello>("hello"),
                      InstanceMethod<&MonitorConnection::prepare>("prepare"),
                      InstanceMethod<&MonitorConnection::sandbox>("sandbox"),
                      InstanceMethod<&MonitorConnection::launch>("launch"),
                      InstanceMethod<&MonitorConnection::run>("run"),
                      InstanceMethod<&MonitorConnection::start_entry>("start"),
                      InstanceMethod<&MonitorConnection::signal>("signal"),
                      InstanceMethod<&MonitorConnection::delete_entry>("delete"),
                      InstanceMethod<&MonitorConnection::reopen_log>("reopenLog"),
                      InstanceMethod<&MonitorConnection::resize>("resize"),
                      InstanceMethod<&MonitorConnection::state>("state"),
                      InstanceMethod<&MonitorConnection::socket>("socket"),
                      InstanceMethod<&MonitorConnection::terminal>("terminal"),
                      InstanceMethod<&MonitorConnection::attach>("attach"),
                      InstanceMethod<&MonitorConnection::shutdown>("shutdown"),
                      InstanceMethod<&MonitorConnection::close>("close"),
                  });
  environment.monitor_connection = Napi::Persistent(constructor);
}

MonitorConnection::MonitorConnection(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kConnectionTag);
}

Napi::Value MonitorConnection::make(Napi::Env env, Fd socket, pid_t pid) {
  Environment& environment = Environment::of(env);
  Napi::Object object = environment.monitor_connection.New({});
  MonitorConnection* self = Unwrap(object);
  object.Set("onExit", env.Null());
  object.Set("onClose", env.Null());
  object.DefineProperty(
      Napi::PropertyDescriptor::Value("pid", Napi::Number::New(env, pid), napi_enumerable));
  MonitorClient::Events events;
  events.exit = [self](const EntryStatus& status) {
    self->emit("onExit", [&status](Napi::Env in) { return to_js(in, status); });
  };
  events.close = [self] { self->on_close(); };
  self->client_ = MonitorClient::open(environment.loop, std::move(socket),
                                      environment.receive_buffer, std::move(events));
  if (self->client_ == nullptr) throw native_error(env, Failure{EPERM, "watch monitor socket", {}});
  environment.clients.insert(self->client_);
  self->Ref();
  return object;
}

Napi::Value MonitorConnection::connect(const Napi::CallbackInfo& info) {
  Fd connection;
  pid_t pid = 0;
  const Failure failure = connect_socket(JsField(info[0], "socket").string(), &connection, &pid);
  if (failure.failed()) throw native_error(info.Env(), failure);
  return make(info.Env(), std::move(connection), pid);
}

void MonitorConnection::emit(const char* property,
                             const std::function<Napi::Value(Napi::Env)>& argument) {
  const Napi::Env env = Env();
  enter_javascript(env, [&] {
    const Napi::Value handler = Value().Get(property);
    if (!handler.IsFunction()) return;
    if (argument == nullptr) {
      handler.As<Napi::Function>().Call(Value(), {});
    } else {
      handler.As<Napi::Function>().Call(Value(), {argument(env)});
    }
  });
}

void MonitorConnection::on_close() {
  Environment::of(Env()).clients.erase(client_);
  emit("onClose", nullptr);
  Unref();
}

Napi::Value MonitorConnection::close(const Napi::CallbackInfo& info) {
  if (client_ == nullptr || client_->closed()) return info.Env().Undefined();
  client_->close();
  Environment::of(info.Env()).clients.erase(client_);
  Unref();
  return info.Env().Undefined();
}

void MonitorConnection::send(const Settler& settler, MessageType type, std::vector<uint8_t> body,
                             std::vector<Fd> fds, ReadReply read) {
  const auto reply = [settler, read = std::move(read)](const Failure& failure, Reader& fields,
                                                       std::vector<Fd>& received) {
    const Napi::Env env = settler.env();
    enter_javascript(env, [&] {
      if (failure.failed()) return settler.reject(failure);
      const Napi::Value value = read == nullptr ? env.Undefined() : read(env, fields, received);
      if (!fields.ok()) return settler.reject(Failure{EPROTO, "read monitor reply", {}});
      settler.resolve(value);
    });
  };
  if (client_ == nullptr) return settler.reject(Failure{ENOTCONN, "monitor connection", {}});
  client_->request(type, std::move(body), std::move(fds), reply);
}

Napi::Value MonitorConnection::hello(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    send(settler, MessageType::kHello, {}, {}, read_hello);
  });
}

Napi::Value MonitorConnection::prepare(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    const PrepareRequest request{namespace_flags(read_namespaces(JsField(info[0], "namespaces")))};
    send(settler, MessageType::kPrepare, encode_bytes(request), {}, nullptr);
  });
}

Napi::Value MonitorConnection::sandbox(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    auto request = std::make_shared<SandboxMessage>();
    request->setup = read_sandbox(JsField(info[0], "setup"));
    auto failure = std::make_shared<Failure>();
    Ref();
    run_work(
        info.Env(), [=] { *failure = open_sandbox(*request); },
        [=, this] {
          if (failure->failed()) {
            settler.reject(*failure);
          } else {
            send(settler, MessageType::kSandbox, std::move(request->body), std::move(request->fds),
                 read_sandbox_reply);
          }
          Unref();
        });
  });
}

Napi::Value MonitorConnection::launch(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    auto request = std::make_shared<LaunchRequest>(
        read_launch(JsField(info[0], "plan"), JsField(info[1], "options")));
    auto failure = std::make_shared<Failure>();
    Ref();
    run_work(
        info.Env(), [=] { *failure = open_launch(*request); },
        [=, this] {
          if (failure->failed()) {
            settler.reject(*failure);
          } else {
            auto read = [request](Napi::Env env, Reader& fields, std::vector<Fd>&) {
              return read_launch_reply(env, fields, *request);
            };
            send(settler, MessageType::kLaunch, std::move(request->body), std::move(request->fds),
                 read);
          }
          Unref();
        });
  });
}

Napi::Value MonitorConnection::run(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    const auto run = read_run(JsField(info[0], "plan"), JsField(info[1], "options"));
    const Failure failure = run->open();
    if (failure.failed()) return settler.reject(failure);
    run->watch(Environment::of(info.Env()).loop);
    auto read = [run](Napi::Env env, Reader& fields, std::vector<Fd>&) {
      return read_run_reply(env, fields, *run);
    };
    send(settler, MessageType::kRun, std::move(run->launch.body), std::move(run->launch.fds), read);
  });
}

Napi::Value MonitorConnection::start_entry(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    const JsField embryo(info[1], "embryo");
    if (embryo.missing()) {
      return send(settler, MessageType::kStart, entry_request(info), {}, read_start_reply);
    }
    auto start = std::make_shared<EmbryoStart>(read_embryo_start(embryo));
    auto body = std::make_shared<std::vector<uint8_t>>(entry_request(info));
    auto failure = std::make_shared<Failure>();
    Ref();
    run_work(
        info.Env(), [=] { *failure = open_start(*start); },
        [=, this] {
          if (failure->failed()) {
            settler.reject(*failure);
          } else {
            send(settler, MessageType::kStart, std::move(*body), std::move(start->fds),
                 read_start_reply);
          }
          Unref();
        });
  });
}

Napi::Value MonitorConnection::signal(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    const std::string id = JsField(info[0], "id").string();
    SignalRequest request{to_str(id)};
    request.signal = static_cast<int32_t>(JsField(info[1], "signal").integer(0, 64));
    request.all = JsField(info[2], "all").boolean() ? 1 : 0;
    send(settler, MessageType::kSignal, encode_bytes(request), {}, nullptr);
  });
}

Napi::Value MonitorConnection::delete_entry(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    send(settler, MessageType::kDelete, entry_request(info), {}, nullptr);
  });
}

Napi::Value MonitorConnection::reopen_log(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    const LogPath path = read_log_path(JsField(info[1], "path"), JsField(info[2], "within"));
    auto body = std::make_shared<std::vector<uint8_t>>(entry_request(info));
    auto log = std::make_shared<Fd>();
    auto failure = std::make_shared<Failure>();
    Ref();
    run_work(
        info.Env(), [=] { *failure = open_log(path, log.get()); },
        [=, this] {
          if (failure->failed()) {
            settler.reject(*failure);
          } else {
            std::vector<Fd> fds;
            fds.push_back(std::move(*log));
            send(settler, MessageType::kReopenLog, std::move(*body), std::move(fds), nullptr);
          }
          Unref();
        });
  });
}

Napi::Value MonitorConnection::resize(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    const std::string id = JsField(info[0], "id").string();
    ResizeRequest request{to_str(id)};
    request.rows = static_cast<uint16_t>(JsField(info[1], "rows").integer(0, UINT16_MAX));
    request.cols = static_cast<uint16_t>(JsField(info[2], "cols").integer(0, UINT16_MAX));
    send(settler, MessageType::kResize, encode_bytes(request), {}, nullptr);
  });
}

Napi::Value MonitorConnection::state(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    send(settler, MessageType::kState, {}, {}, read_state_reply);
  });
}

Napi::Value MonitorConnection::socket(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    SocketRequest request;
    request.domain = static_cast<int32_t>(JsField(info[0], "domain").integer(0, INT_MAX));
    request.type = static_cast<int32_t>(JsField(info[1], "type").integer(0, INT_MAX));
    request.protocol = static_cast<int32_t>(JsField(info[2], "protocol").integer(0, INT_MAX));
    send(settler, MessageType::kSocket, encode_bytes(request), {}, read_descriptor);
  });
}

Napi::Value MonitorConnection::terminal(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    send(settler, MessageType::kTerminal, entry_request(info), {}, read_descriptor);
  });
}

Napi::Value MonitorConnection::attach(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    const std::string id = JsField(info[0], "id").string();
    const JsField streams(info[1], "streams");
    const uint32_t flags = (streams.get("stdout").boolean() ? kAttachStdout : 0u) |
                           (streams.get("stderr").boolean() ? kAttachStderr : 0u);
    auto message = std::make_shared<AttachMessage>();
    const bool input = streams.get("stdin").boolean();
    const Failure failure = open_attach(id, flags, input, message.get());
    if (failure.failed()) return settler.reject(failure);
    auto read = [message](Napi::Env env, Reader&, std::vector<Fd>&) {
      return attach_ends(env, message->output, message->input);
    };
    send(settler, MessageType::kAttach, std::move(message->body), std::move(message->fds), read);
  });
}

Napi::Value MonitorConnection::shutdown(const Napi::CallbackInfo& info) {
  return promised(info.Env(), [&](const Settler& settler) {
    send(settler, MessageType::kShutdown, {}, {}, nullptr);
  });
}

}  // namespace coracle
