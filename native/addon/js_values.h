// Reads JavaScript values into C++ ones, and says precisely which field has the wrong shape.
//
// This and the other js_*.h are the parts of bindings.cc that deserve a file of their own: the
// only ones that see napi.h.
#ifndef CORACLE_NATIVE_ADDON_JS_VALUES_H_
#define CORACLE_NATIVE_ADDON_JS_VALUES_H_

#include <napi.h>
#include <stdint.h>

#include <string>
#include <vector>

#include "native/addon/failure.h"

namespace coracle {

// A value and the way to it ("plan.steps[3].target"), which is spelled out only for an error.
// Points to its parent: keep that alive. Every reader throws a TypeError that names the field.
class JsField {
 public:
  JsField(Napi::Value value, const char* name) : value_(value), key_(name) {}

  Napi::Value value() const { return value_; }
  bool missing() const { return value_.IsUndefined() || value_.IsNull(); }

  JsField get(const char* key) const;
  JsField at(uint32_t index) const;
  uint32_t length() const;  // of an array

  std::string string() const;  // without NUL bytes
  bool boolean() const;
  // An integer within [min, max], which must lie within the safe integers.
  int64_t integer(int64_t min, int64_t max) const;
  uint32_t u32() const { return static_cast<uint32_t>(integer(0, UINT32_MAX)); }
  uint64_t u64() const;  // a bigint
  std::vector<std::string> strings() const;
  // Points into the ArrayBuffer: copy it before JavaScript runs again.
  std::pair<const uint8_t*, size_t> bytes() const;

  std::string where() const;
  [[noreturn]] void wrong(const std::string& expected) const;

 private:
  JsField(Napi::Value value, const JsField* parent, const char* key, uint32_t index)
      : value_(value), parent_(parent), key_(key), index_(index) {}

  Napi::Value value_;
  const JsField* parent_ = nullptr;
  const char* key_ = nullptr;  // nullptr: an element of an array
  uint32_t index_ = 0;
};

// The Error of src/native/types.ts: NativeError.
Napi::Error native_error(Napi::Env env, const Failure& failure);

Napi::Value to_js(Napi::Env env, const std::vector<std::string>& strings);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_JS_VALUES_H_
