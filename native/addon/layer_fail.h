// How the layer code fails inside: one exception type that never leaves apply_layer.
#ifndef CORACLE_NATIVE_ADDON_LAYER_FAIL_H_
#define CORACLE_NATIVE_ADDON_LAYER_FAIL_H_

#include <cerrno>
#include <exception>
#include <string>
#include <system_error>
#include <utility>

#include "native/addon/apply_layer.h"

namespace coracle::layer {

struct Failure {
  LayerError error;  // its step is what was done inside; whoever catches says for what
};

// A failed system call: reads errno.
[[noreturn]] inline void fail_errno(const std::string& step, std::string path) {
  int code = errno;
  throw Failure{{code, step, std::move(path)}};
}

// A fault of the data; `what` says which.
[[noreturn]] inline void fail_data(const std::string& what, std::string path, int code = 0) {
  throw Failure{{code, what, std::move(path)}};
}

// Runs `work` and turns what it throws into an error of "what: step". `path` is named where a
// failure has none.
template <typename Work>
LayerError report(const char* what, const std::string& path, const Work& work) {
  try {
    work();
    return {};
  } catch (const Failure& failure) {
    LayerError error = failure.error;
    error.step.insert(0, what);
    return error;
  } catch (const std::system_error& failure) {
    return {failure.code().value(), std::string(what) + "start a thread", path};
  } catch (const std::exception& failure) {
    return {ENOMEM, what + std::string(failure.what()), path};
  }
}

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_FAIL_H_
