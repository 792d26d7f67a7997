// The addon's functions that read what pods use: `StatsAddon` in src/native/stats-types.ts. One of
// the files that see napi.h.
#ifndef CORACLE_NATIVE_ADDON_JS_STATS_H_
#define CORACLE_NATIVE_ADDON_JS_STATS_H_

#include <napi.h>

#include "native/addon/measure_tree.h"

namespace coracle {

Napi::Value js_read_files(const Napi::CallbackInfo& info);
Napi::Value js_count_processes(const Napi::CallbackInfo& info);
Napi::Value tree_usage_to_js(Napi::Env env, TreeUsage& usage);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_JS_STATS_H_
