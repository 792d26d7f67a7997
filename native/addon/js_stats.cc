#include "native/addon/js_stats.h"

#include <memory>
#include <utility>

#include "native/addon/count_processes.h"
#include "native/addon/js_environment.h"
#include "native/addon/measure_tree.h"
#include "native/addon/read_files.h"

namespace coracle {
namespace {

// The promise of work on a thread of libuv's pool that can't fail.
template <typename Request, typename Result>
Napi::Value work(Napi::Env env, Request request, Result (*run)(const Request&),
                 napi_value (*convert)(Napi::Env, const Result&)) {
  const Settler settler(env);
  struct State {
    Request request;
    Result result;
  };
  auto state = std::make_shared<State>(State{std::move(request), {}});
  try {
    run_work(
        env, [=] { state->result = run(state->request); },
        [=] { settler.resolve(convert(settler.env(), state->result)); });
  } catch (const Napi::Error& error) {
    settler.reject(error.Value());
  }
  return settler.promise();
}

napi_value contents_to_js(Napi::Env env, const FileContents& contents) {
  Napi::Array texts = Napi::Array::New(env, contents.texts.size());
  for (uint32_t i = 0; i < contents.texts.size(); i++) {
    const auto& text = contents.texts[i];
    texts[i] = text ? Napi::String::New(env, *text).As<Napi::Value>() : env.Null();
  }
  Napi::Object out = Napi::Object::New(env);
  out.Set("readAt", Napi::BigInt::New(env, contents.read_at));
  out.Set("texts", texts);
  return out;
}

Napi::Value number(Napi::Env env, uint64_t value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

napi_value counts_to_js(Napi::Env env, const std::vector<std::optional<ProcessCounts>>& all) {
  Napi::Array out = Napi::Array::New(env, all.size());
  for (uint32_t i = 0; i < all.size(); i++) {
    if (!all[i]) {
      out[i] = env.Null();
      continue;
    }
    Napi::Object counts = Napi::Object::New(env);
    counts.Set("processes", number(env, all[i]->processes));
    counts.Set("threads", number(env, all[i]->threads));
    if (all[i]->descriptors) counts.Set("descriptors", number(env, *all[i]->descriptors));
    if (all[i]->sockets) counts.Set("sockets", number(env, *all[i]->sockets));
    out[i] = counts;
  }
  return out;
}

}  // namespace

Napi::Value js_read_files(const Napi::CallbackInfo& info) {
  return work<std::vector<std::string>, FileContents>(
      info.Env(), JsField(info[0], "paths").strings(), read_files, contents_to_js);
}

Napi::Value js_count_processes(const Napi::CallbackInfo& info) {
  CountRequest request;
  request.cgroups = JsField(info[0], "cgroups").strings();
  request.descriptors = JsField(info[1], "descriptors").boolean();
  return work<CountRequest, std::vector<std::optional<ProcessCounts>>>(
      info.Env(), std::move(request), count_processes, counts_to_js);
}

Napi::Value tree_usage_to_js(Napi::Env env, TreeUsage& usage) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("bytes", number(env, usage.bytes));
  out.Set("inodes", number(env, usage.inodes));
  return out;
}

}  // namespace coracle
