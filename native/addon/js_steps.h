// Reads one step of a LaunchPlan from JavaScript. One of the files that see napi.h.
#ifndef CORACLE_NATIVE_ADDON_JS_STEPS_H_
#define CORACLE_NATIVE_ADDON_JS_STEPS_H_

#include "native/addon/js_values.h"
#include "native/addon/plan_builder.h"

namespace coracle {

// Appends the step to the plan and tells which it was. Throws a TypeError that names the field.
Op read_step(const JsField& step, PlanBuilder& builder);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_JS_STEPS_H_
