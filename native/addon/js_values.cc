#include "native/addon/js_values.h"

#include <math.h>

namespace coracle {

std::string JsField::where() const {
  if (parent_ == nullptr) return key_;
  if (key_ == nullptr) return parent_->where() + "[" + std::to_string(index_) + "]";
  return parent_->where() + "." + key_;
}

void JsField::wrong(const std::string& expected) const {
  throw Napi::TypeError::New(value_.Env(), where() + " must be " + expected);
}

JsField JsField::get(const char* key) const {
  if (!value_.IsObject()) wrong("an object");
  return JsField(value_.As<Napi::Object>().Get(key), this, key, 0);
}

JsField JsField::at(uint32_t index) const {
  return JsField(value_.As<Napi::Array>().Get(index), this, nullptr, index);
}

uint32_t JsField::length() const {
  if (!value_.IsArray()) wrong("an array");
  return value_.As<Napi::Array>().Length();
}

std::string JsField::string() const {
  if (!value_.IsString()) wrong("a string");
  std::string text = value_.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) wrong("a string without NUL bytes");
  return text;
}

bool JsField::boolean() const {
  if (!value_.IsBoolean()) wrong("a boolean");
  return value_.As<Napi::Boolean>().Value();
}

int64_t JsField::integer(int64_t min, int64_t max) const {
  const double number = value_.IsNumber() ? value_.As<Napi::Number>().DoubleValue() : NAN;
  if (!(number >= static_cast<double>(min) && number <= static_cast<double>(max)) ||
      number != floor(number)) {
    wrong("an integer from " + std::to_string(min) + " to " + std::to_string(max));
  }
  return static_cast<int64_t>(number);
}

uint64_t JsField::u64() const {
  bool lossless = false;
  const uint64_t number = value_.IsBigInt() ? value_.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) wrong("a bigint from 0n to 2n ** 64n - 1n");
  return number;
}

std::vector<std::string> JsField::strings() const {
  std::vector<std::string> list(length());
  for (uint32_t i = 0; i < list.size(); i++) list[i] = at(i).string();
  return list;
}

std::pair<const uint8_t*, size_t> JsField::bytes() const {
  const bool is_bytes =
      value_.IsTypedArray() && value_.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
  if (!is_bytes) wrong("a Uint8Array");
  const Napi::Uint8Array array = value_.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

Napi::Error native_error(Napi::Env env, const Failure& failure) {
  Napi::Error error = Napi::Error::New(env, describe(failure));
  error.Set("step", failure.step);
  error.Set("errno", Napi::Number::New(env, failure.code));
  error.Set("code", error_name(failure.code));
  error.Set("path", failure.path);
  return error;
}

Napi::Value to_js(Napi::Env env, const std::vector<std::string>& strings) {
  Napi::Array list = Napi::Array::New(env, strings.size());
  for (uint32_t i = 0; i < strings.size(); i++) list[i] = Napi::String::New(env, strings[i]);
  return list;
}

}  // namespace coracle
