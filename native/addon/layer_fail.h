// How the layer code fails inside: one exception type that never leaves apply_layer.
#ifndef CORACLE_NATIVE_ADDON_LAYER_FAIL_H_
#define CORACLE_NATIVE_ADDON_LAYER_FAIL_H_

#include <cerrno>
#include <string>
#include <utility>

#include "native/addon/apply_layer.h"

namespace coracle::layer {

struct Failure {
  LayerError error;
};

// A failed system call: reads errno.
[[noreturn]] inline void fail_errno(const std::string& step, std::string path) {
  int code = errno;
  throw Failure{{code, "unpack layer: " + step, std::move(path)}};
}

// A fault of the data; `what` says which.
[[noreturn]] inline void fail_data(const std::string& what, std::string path, int code = 0) {
  throw Failure{{code, "unpack layer: " + what, std::move(path)}};
}

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_FAIL_H_
