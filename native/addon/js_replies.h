// Puts the monitor's replies and events into JavaScript. One of the files that see napi.h.
//
// Each reader leaves `fields` with ok() false for a malformed reply; what it returns then is not
// used. Fields that a newer monitor appends are ignored.
#ifndef CORACLE_NATIVE_ADDON_JS_REPLIES_H_
#define CORACLE_NATIVE_ADDON_JS_REPLIES_H_

#include <napi.h>

#include <vector>

#include "native/addon/run_request.h"
#include "native/plan/protocol.h"
#include "native/sys/fd.h"

namespace coracle {

Napi::Value to_js(Napi::Env env, const EntryStatus& status);

Napi::Value read_hello(Napi::Env env, Reader& fields, std::vector<Fd>& fds);
Napi::Value read_sandbox_reply(Napi::Env env, Reader& fields, std::vector<Fd>& fds);
Napi::Value read_start_reply(Napi::Env env, Reader& fields, std::vector<Fd>& fds);
Napi::Value read_state_reply(Napi::Env env, Reader& fields, std::vector<Fd>& fds);
// Hands the one descriptor of the reply over to JavaScript.
Napi::Value read_descriptor(Napi::Env env, Reader& fields, std::vector<Fd>& fds);
// Hands our ends of an attach over.
Napi::Value attach_ends(Napi::Env env, Fd& output, Fd& input);
// Hands our ends of the pipes over as well.
Napi::Value read_launch_reply(Napi::Env env, Reader& fields, LaunchRequest& request);
// Takes what is left of the output.
Napi::Value read_run_reply(Napi::Env env, Reader& fields, RunRequest& run);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_JS_REPLIES_H_
