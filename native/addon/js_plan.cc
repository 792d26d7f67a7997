#include "native/addon/js_plan.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "native/addon/js_steps.h"

namespace coracle {
namespace {

constexpr napi_type_tag kPlanTag = {0x6f8d1a5c2b7e4093, 0x9c41d7f02e6b58a1};

PidMode read_pid_mode(const JsField& field) {
  const std::string mode = field.string();
  if (mode == "new") return PidMode::kNew;
  if (mode == "pod") return PidMode::kPod;
  if (mode == "target") return PidMode::kTarget;
  if (mode == "host") return PidMode::kHost;
  field.wrong("'new', 'pod', 'target' or 'host'");
}

Fd duplicate(const JsField& field) {
  Fd copy(fcntl(static_cast<int>(field.integer(0, INT_MAX)), F_DUPFD_CLOEXEC, 3));
  if (!copy) throw native_error(field.value().Env(), system_failure("duplicate " + field.where()));
  return copy;
}

StdioRequest read_stdio(const JsField& field, bool input) {
  StdioRequest stdio;
  const JsField type_field = field.get("type");
  const std::string type = type_field.string();
  if (type == "fd") {
    stdio.type = StdioRequest::Type::kFd;
    stdio.fd = duplicate(field.get("fd"));
  } else if (type == "pipe") {
    stdio.type = StdioRequest::Type::kPipe;
  } else if (type == "log" && !input) {
    stdio.type = StdioRequest::Type::kLog;
  } else if (type != "null") {
    type_field.wrong(input ? "'null', 'fd' or 'pipe'" : "'null', 'log', 'fd' or 'pipe'");
  }
  return stdio;
}

void read_log(const JsField& log, LaunchRequest& request) {
  if (log.missing()) return;
  const JsField type_field = log.get("type");
  const std::string type = type_field.string();
  if (type == "cri") {
    request.log_mode = LogMode::kCri;
    request.log = read_log_path(log.get("path"), log.get("within"));
    request.max_line = static_cast<uint32_t>(log.get("maxLine").integer(1, INT_MAX));
  } else if (type == "raw") {
    request.log_mode = LogMode::kRaw;
    request.raw_stdout = duplicate(log.get("stdout"));
    request.raw_stderr = duplicate(log.get("stderr"));
  } else {
    type_field.wrong("'cri' or 'raw'");
  }
}

}  // namespace

LogPath read_log_path(const JsField& path, const JsField& within) {
  return LogPath{path.string(), within.missing() ? std::string() : within.string()};
}

EncodedPlan read_plan(const JsField& plan) {
  PlanBuilder builder;
  EncodedPlan& out = builder.plan();
  out.id = plan.get("id").string();
  out.parent = plan.get("parent").string();
  out.clone_flags = plan.get("cloneFlags").u32();
  out.pid_mode = read_pid_mode(plan.get("pidMode"));
  out.flags = (plan.get("exec").boolean() ? kExec : 0u) |
              (plan.get("terminal").boolean() ? kTerminal : 0u) |
              (plan.get("killCgroupOnExit").boolean() ? kKillCgroupOnExit : 0u);
  out.into_cgroup = plan.get("intoCgroup").string();
  out.kill_cgroup = plan.get("killCgroup").string();
  out.kill_is_list = !out.kill_cgroup.ends_with("cgroup.kill");
  const JsField steps = plan.get("steps");
  const uint32_t count = steps.length();
  if (count == 0) steps.wrong("a list that ends with an execve step");
  for (uint32_t i = 0; i < count; i++) {
    const JsField step = steps.at(i);
    const bool is_execve = read_step(step, builder) == Op::kExecve;
    const bool is_last = i + 1 == count;
    if (is_execve != is_last) {
      step.wrong(is_last ? "an execve step: it is the last" : "no execve step: it is not the last");
    }
  }
  return builder.finish();
}

LaunchRequest read_launch(const JsField& plan, const JsField& options) {
  LaunchRequest request;
  request.plan = PreparedPlan::unwrap(plan);
  const JsField stdio = options.get("stdio");
  if (stdio.length() != 3) stdio.wrong("an array of three");
  for (uint32_t i = 0; i < 3; i++) request.stdio[i] = read_stdio(stdio.at(i), i == 0);
  read_log(options.get("log"), request);
  const JsField at_once = options.get("startAtOnce");
  request.start_at_once = !at_once.missing() && at_once.boolean();
  const JsField embryo = options.get("embryo");
  request.embryo = !embryo.missing() && embryo.boolean();
  const JsField attach = options.get("attach");
  if (!attach.missing()) {
    request.attach_flags = kAttachable | (attach.get("stdin").boolean() ? kHoldStdin : 0u) |
                           (attach.get("stdinOnce").boolean() ? kStdinOnce : 0u);
  }
  return request;
}

std::shared_ptr<RunRequest> read_run(const JsField& plan, const JsField& options) {
  const int64_t limit = options.get("maxOutput").integer(0, INT_MAX);
  auto run = std::make_shared<RunRequest>(static_cast<size_t>(limit));
  run->launch.plan = PreparedPlan::unwrap(plan);
  run->launch.id = options.get("id").string();
  if (run->launch.id.empty()) options.get("id").wrong("an id, not empty");
  run->launch.argv = options.get("argv").strings();
  if (run->launch.argv.empty()) options.get("argv").wrong("a list of at least one string");
  return run;
}

EmbryoStart read_embryo_start(const JsField& embryo) {
  EmbryoStart start;
  start.plan = PreparedPlan::unwrap(embryo.get("plan"));
  const JsField sources = embryo.get("sources");
  const auto [bytes, size] = sources.bytes();
  if (size % sizeof(MountIdentity) != 0) sources.wrong("the sources of a launch");
  start.sources.resize(size / sizeof(MountIdentity));
  if (size != 0) memcpy(start.sources.data(), bytes, size);
  const JsField log = embryo.get("log");
  start.has_log = !log.missing();
  if (start.has_log) start.log = read_log_path(log.get("path"), log.get("within"));
  return start;
}

void PreparedPlan::define(Napi::Env env, Environment& environment) {
  const Napi::Function constructor = DefineClass(env, "PreparedPlan", {});
  environment.prepared_plan = Napi::Persistent(constructor);
}

PreparedPlan::PreparedPlan(const Napi::CallbackInfo& info) : ObjectWrap(info) {
  info.This().As<Napi::Object>().TypeTag(&kPlanTag);
}

Napi::Value PreparedPlan::make(Napi::Env env, EncodedPlan plan) {
  const Napi::Object object = Environment::of(env).prepared_plan.New({});
  Napi::Object result = object;
  PreparedPlan* self = Napi::ObjectWrap<PreparedPlan>::Unwrap(object);
  self->plan_ = std::make_shared<const EncodedPlan>(std::move(plan));
  result.Set("bytes", Napi::Number::New(env, static_cast<double>(self->plan_->bytes())));
  return result;
}

std::shared_ptr<const EncodedPlan> PreparedPlan::unwrap(const JsField& field) {
  const bool is_plan =
      field.value().IsObject() && field.value().As<Napi::Object>().CheckTypeTag(&kPlanTag);
  if (!is_plan) field.wrong("a PreparedPlan");
  auto plan = Napi::ObjectWrap<PreparedPlan>::Unwrap(field.value().As<Napi::Object>())->plan_;
  if (plan == nullptr) field.wrong("a PreparedPlan that preparePlan has made");
  return plan;
}

}  // namespace coracle
