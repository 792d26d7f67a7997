// The addon's entry: the functions of `Addon` in src/native/types.ts. Only this file and the
// js_*.{h,cc} beside it see napi.h; everything else is plain C++ that runs without Node.
#include <limits.h>
#include <napi.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <atomic>

#include "native/addon/apply_layer.h"
#include "native/addon/decompress_file.h"
#include "native/addon/device_program.h"
#include "native/addon/file_ops.h"
#include "native/addon/js_environment.h"
#include "native/addon/js_monitor.h"
#include "native/addon/js_options.h"
#include "native/addon/js_plan.h"
#include "native/addon/js_stats.h"
#include "native/addon/kill_process.h"
#include "native/addon/layer_path.h"
#include "native/addon/measure_tree.h"
#include "native/addon/network.h"
#include "native/addon/seccomp.h"
#include "native/sys/failpoint.h"

namespace coracle {
namespace {

// NetError and LayerError have the same fields.
template <typename Error>
Failure to_failure(Error error) {
  if (error.code != 0 && error.step.empty()) error.step = "native call";
  return Failure{error.code, std::move(error.step), std::move(error.path)};
}

// The promise of a job: `read` takes the arguments, `work` runs on a worker thread and fills in a
// result, `convert` puts that into JavaScript.
template <typename Request, typename Result>
Napi::Value job(Napi::Env env, const std::function<Request()>& read,
                Failure (*work)(const Request&, Result*),
                Napi::Value (*convert)(Napi::Env, Result&)) {
  const Settler settler(env);
  try {
    struct State {
      Request request;
      Result result;
      Failure failure;
    };
    auto state = std::make_shared<State>(State{read(), Result{}, Failure{}});
    run_work(
        env, [=] { state->failure = work(state->request, &state->result); },
        [=] {
          if (state->failure.failed()) return settler.reject(state->failure);
          settler.resolve(convert(settler.env(), state->result));
        });
  } catch (const Napi::Error& error) {
    settler.reject(error.Value());
  }
  return settler.promise();
}

struct Nothing {};
Napi::Value undefined(Napi::Env env, Nothing&) { return env.Undefined(); }

Napi::Value prepare_plan(const Napi::CallbackInfo& info) {
  return PreparedPlan::make(info.Env(), read_plan(JsField(info[0], "plan")));
}

Napi::Value run_file_ops(const Napi::CallbackInfo& info) {
  return job<std::vector<FileOp>, Nothing>(
      info.Env(), [&] { return read_file_ops(JsField(info[0], "ops")); },
      [](const std::vector<FileOp>& ops, Nothing*) { return coracle::run_file_ops(ops); },
      undefined);
}

Napi::Value compile_seccomp(const Napi::CallbackInfo& info) {
  return job<SeccompProfile, std::vector<uint8_t>>(
      info.Env(), [&] { return read_seccomp_profile(JsField(info[0], "spec")); },
      coracle::compile_seccomp,
      [](Napi::Env env, std::vector<uint8_t>& program) -> Napi::Value {
        Napi::Uint8Array bytes = Napi::Uint8Array::New(env, program.size());
        std::copy(program.begin(), program.end(), bytes.Data());
        return bytes;
      });
}

struct DeviceRequest {
  std::string cgroup;
  std::vector<DeviceRule> rules;
};

Napi::Value attach_device_program(const Napi::CallbackInfo& info) {
  return job<DeviceRequest, Nothing>(
      info.Env(),
      [&] {
        return DeviceRequest{JsField(info[0], "cgroup").string(),
                             read_device_rules(JsField(info[1], "rules"))};
      },
      [](const DeviceRequest& request, Nothing*) {
        return coracle::attach_device_program(request.cgroup, request.rules);
      },
      undefined);
}

Napi::Value ensure_bridge(const Napi::CallbackInfo& info) {
  return job<BridgeSpec, Nothing>(
      info.Env(), [&] { return read_bridge(JsField(info[0], "spec")); },
      [](const BridgeSpec& spec, Nothing*) { return to_failure(coracle::ensure_bridge(spec)); },
      undefined);
}

Napi::Value connect_pod(const Napi::CallbackInfo& info) {
  return job<VethSpec, Nothing>(
      info.Env(), [&] { return read_veth(JsField(info[0], "spec")); },
      [](const VethSpec& spec, Nothing*) { return to_failure(coracle::connect_pod(spec)); },
      undefined);
}

Napi::Value delete_link(const Napi::CallbackInfo& info) {
  return job<std::string, Nothing>(
      info.Env(), [&] { return JsField(info[0], "name").string(); },
      [](const std::string& name, Nothing*) { return to_failure(coracle::delete_link(name)); },
      undefined);
}

Napi::Value link_exists(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), coracle::link_exists(JsField(info[0], "name").string()));
}

Napi::Value delete_udp_flows(const Napi::CallbackInfo& info) {
  return job<UdpFlows, Nothing>(
      info.Env(), [&] { return read_udp_flows(JsField(info[0], "flows")); },
      [](const UdpFlows& flows, Nothing*) { return to_failure(coracle::delete_udp_flows(flows)); },
      undefined);
}

Napi::Value kill_process(const Napi::CallbackInfo& info) {
  const pid_t pid = static_cast<pid_t>(JsField(info[0], "pid").integer(1, INT_MAX));
  const uint64_t ticks = JsField(info[1], "startTicks").u64();
  const int signal = static_cast<int>(JsField(info[2], "signal").integer(0, 64));
  const Failure failure = coracle::kill_process(pid, ticks, signal);
  if (failure.failed()) throw native_error(info.Env(), failure);
  return info.Env().Undefined();
}

// An AbortSignal that sets the flag a worker looks at, until it is let go.
class AbortWatch {
 public:
  AbortWatch(const JsField& signal, const std::shared_ptr<std::atomic<bool>>& cancelled) {
    if (signal.missing()) return;
    if (signal.get("aborted").boolean()) cancelled->store(true);
    const Napi::Function listener = Napi::Function::New(
        signal.value().Env(), [cancelled](const Napi::CallbackInfo&) { cancelled->store(true); },
        "onAbort");
    call(signal.value().As<Napi::Object>(), "addEventListener", listener);
    signal_ = Napi::Persistent(signal.value().As<Napi::Object>());
    listener_ = Napi::Persistent(listener);
  }
  void let_go() {
    if (!signal_.IsEmpty()) call(signal_.Value(), "removeEventListener", listener_.Value());
    signal_.Reset();
    listener_.Reset();
  }

 private:
  static void call(Napi::Object signal, const char* method, Napi::Function listener) {
    const JsField field(signal, "signal");
    const JsField function = field.get(method);
    if (!function.value().IsFunction()) function.wrong("a function");
    function.value().As<Napi::Function>().Call(
        signal, {Napi::String::New(signal.Env(), "abort"), listener});
  }

  Napi::ObjectReference signal_;
  Napi::FunctionReference listener_;
};

Napi::Value layer_result(Napi::Env env, ApplyLayerResult& result) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("digest", result.digest);
  out.Set("diffId", result.diff_id);
  out.Set("size", Napi::BigInt::New(env, result.size));
  out.Set("entries", Napi::Number::New(env, static_cast<double>(result.entries)));
  return out;
}

// The promise of a job that takes seconds: a thread of its own does it, and an AbortSignal ends it
// early. `Request` has a flag `cancelled`.
template <typename Request, typename Result>
Napi::Value long_job(const Napi::CallbackInfo& info, Request (*read)(const JsField&),
                     LayerError (*work)(const Request&, Result*),
                     Napi::Value (*convert)(Napi::Env, Result&)) {
  const Settler settler(info.Env());
  try {
    struct State {
      Request request;
      Result result;
      Failure failure;
    };
    auto state = std::make_shared<State>(State{read(JsField(info[0], "options")), {}, {}});
    auto cancelled = std::make_shared<std::atomic<bool>>(false);
    state->request.cancelled = cancelled.get();
    auto abort = std::make_shared<AbortWatch>(JsField(info[1], "signal"), cancelled);
    LongWorks::Callbacks callbacks;
    callbacks.work = [=] { state->failure = to_failure(work(state->request, &state->result)); };
    callbacks.done = [=] {
      enter_javascript(settler.env(), [&] {
        abort->let_go();
        if (state->failure.failed()) return settler.reject(state->failure);
        settler.resolve(convert(settler.env(), state->result));
      });
    };
    callbacks.cancel = [=] { cancelled->store(true); };
    Environment& environment = Environment::of(info.Env());
    const int code = environment.long_works.start(environment.loop, std::move(callbacks));
    if (code != 0) {
      abort->let_go();
      settler.reject(Failure{code, "start a thread", {}});
    }
  } catch (const Napi::Error& error) {
    settler.reject(error.Value());
  }
  return settler.promise();
}

Napi::Value apply_layer(const Napi::CallbackInfo& info) {
  return long_job<ApplyLayerOptions, ApplyLayerResult>(info, read_layer, coracle::apply_layer,
                                                       layer_result);
}

Napi::Value decompress_file(const Napi::CallbackInfo& info) {
  return long_job<DecompressOptions, Nothing>(
      info, read_decompress,
      [](const DecompressOptions& options, Nothing*) { return coracle::decompress_file(options); },
      undefined);
}

Napi::Value read_layer_path(const Napi::CallbackInfo& info) {
  return long_job<LayerPathOptions, LayerPathKind>(
      info, read_layer_path_options, coracle::read_layer_path,
      [](Napi::Env env, LayerPathKind& kind) -> Napi::Value {
        constexpr const char* kNames[] = {"missing", "directory", "other"};
        return Napi::String::New(env, kNames[static_cast<size_t>(kind)]);
      });
}

Napi::Value measure_tree(const Napi::CallbackInfo& info) {
  return long_job<MeasureRequest, TreeUsage>(
      info, [](const JsField& options) { return MeasureRequest{options.get("path").string()}; },
      [](const MeasureRequest& request, TreeUsage* usage) {
        // The least weight: of this thread alone, since Linux weighs threads (setpriority(2)).
        setpriority(PRIO_PROCESS, 0, 19);
        Failure failure = coracle::measure_tree(request, usage);
        return LayerError{failure.code, std::move(failure.step), std::move(failure.path)};
      },
      tree_usage_to_js);
}

Napi::Value helper_result(Napi::Env env, const HelperResult& result) {
  const int status = result.wait_status;
  Napi::Object out = Napi::Object::New(env);
  const int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  out.Set("exitCode", Napi::Number::New(env, code));
  out.Set("stdout", result.output);
  out.Set("stderr", result.errors);
  out.Set("timedOut", Napi::Boolean::New(env, result.timed_out));
  return out;
}

// Hands a started program to the loop, which settles the promise when it exits.
void watch_helper(const Settler& settler, const HelperRequest& request, StartedHelper started) {
  std::list<std::unique_ptr<HelperProcess>>& helpers = Environment::of(settler.env()).helpers;
  const auto place = helpers.emplace(helpers.end());
  *place = std::make_unique<HelperProcess>(
      Environment::of(settler.env()).loop, request, std::move(started),
      [settler, place, &helpers](HelperResult& result) {
        enter_javascript(settler.env(),
                         [&] { settler.resolve(helper_result(settler.env(), result)); });
        helpers.erase(place);
      });
}

Napi::Value spawn(const Napi::CallbackInfo& info) {
  const Settler settler(info.Env());
  try {
    auto request = std::make_shared<HelperRequest>(read_helper(JsField(info[0], "options")));
    auto started = std::make_shared<StartedHelper>();
    auto failure = std::make_shared<Failure>();
    run_work(
        info.Env(), [=] { *failure = start_helper(*request, started.get()); },
        [=] {
          if (failure->failed()) return settler.reject(*failure);
          watch_helper(settler, *request, std::move(*started));
        });
  } catch (const Napi::Error& error) {
    settler.reject(error.Value());
  }
  return settler.promise();
}

Napi::Value connect_socket(const Napi::CallbackInfo& info) {
  const Settler settler(info.Env());
  try {
    const int fd = static_cast<int>(JsField(info[0], "fd").integer(0, INT_MAX));
    const std::string address = JsField(info[1], "address").string();
    const auto port = static_cast<uint16_t>(JsField(info[2], "port").integer(1, UINT16_MAX));
    const auto limit = static_cast<uint64_t>(JsField(info[3], "timeoutMs").integer(1, INT_MAX));
    Environment& environment = Environment::of(info.Env());
    std::list<std::unique_ptr<SocketConnect>>& connects = environment.connects;
    const auto place = connects.emplace(connects.end());
    *place = std::make_unique<SocketConnect>(environment.loop, fd, address, port, limit,
                                             [settler, place, &connects](const Failure& failure) {
                                               enter_javascript(settler.env(), [&] {
                                                 if (failure.failed())
                                                   return settler.reject(failure);
                                                 settler.resolve(settler.env().Undefined());
                                               });
                                               connects.erase(place);
                                             });
  } catch (const Napi::Error& error) {
    settler.reject(error.Value());
  }
  return settler.promise();
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  // src/failpoint.ts; worker threads load the addon once more, and change nothing.
  static const bool armed = sys::arm_failpoints(getenv("CORACLE_NATIVE_FAILPOINTS"));
  if (!armed) throw Napi::Error::New(env, "CORACLE_NATIVE_FAILPOINTS is no list of failpoints");
  Environment& environment = Environment::create(env);
  PreparedPlan::define(env, environment);
  MonitorConnection::define(env, environment);
  const auto add = [&](const char* name, Napi::Value (*function)(const Napi::CallbackInfo&)) {
    exports.Set(name, Napi::Function::New(env, function, name));
  };
  add("startMonitor", MonitorConnection::start);
  add("startMonitorAside", MonitorConnection::start_aside);
  add("connectMonitor", MonitorConnection::connect);
  add("preparePlan", prepare_plan);
  add("runFileOps", run_file_ops);
  add("spawn", spawn);
  add("compileSeccomp", compile_seccomp);
  add("attachDeviceProgram", attach_device_program);
  add("ensureBridge", ensure_bridge);
  add("connectPod", connect_pod);
  add("deleteLink", delete_link);
  add("linkExists", link_exists);
  add("deleteUdpFlows", delete_udp_flows);
  add("applyLayer", apply_layer);
  add("decompressFile", decompress_file);
  add("readLayerPath", read_layer_path);
  add("killProcess", kill_process);
  add("readFiles", js_read_files);
  add("countProcesses", js_count_processes);
  add("measureTree", measure_tree);
  add("connectSocket", connect_socket);
  return exports;
}

}  // namespace
}  // namespace coracle

using coracle::init;
NODE_API_MODULE(coracle, init)
