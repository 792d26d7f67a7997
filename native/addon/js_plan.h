// Reads a LaunchPlan and launch options from JavaScript. One of the files that see napi.h.
#ifndef CORACLE_NATIVE_ADDON_JS_PLAN_H_
#define CORACLE_NATIVE_ADDON_JS_PLAN_H_

#include <napi.h>

#include <memory>

#include "native/addon/js_environment.h"
#include "native/addon/launch_request.h"
#include "native/addon/run_request.h"

namespace coracle {

// PreparedPlan of src/native/types.ts: an object that holds an encoded plan.
class PreparedPlan : public Napi::ObjectWrap<PreparedPlan> {
 public:
  static void define(Napi::Env env, Environment& environment);
  static Napi::Value make(Napi::Env env, EncodedPlan plan);
  // Throws a TypeError for anything but a PreparedPlan.
  static std::shared_ptr<const EncodedPlan> unwrap(const JsField& field);

  explicit PreparedPlan(const Napi::CallbackInfo& info);

 private:
  std::shared_ptr<const EncodedPlan> plan_;
};

EncodedPlan read_plan(const JsField& plan);

// `within` may be missing.
LogPath read_log_path(const JsField& path, const JsField& within);

// Descriptors that the caller named are duplicated here and now. Throws a TypeError, or a
// NativeError for a bad descriptor.
LaunchRequest read_launch(const JsField& plan, const JsField& options);

// `plan` is that of an exec; `options` are its `RunOptions`.
std::shared_ptr<RunRequest> read_run(const JsField& plan, const JsField& options);

EmbryoStart read_embryo_start(const JsField& embryo);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_JS_PLAN_H_
