// What an image has at a path, and a copy of it.
#ifndef CORACLE_NATIVE_ADDON_LAYER_PATH_H_
#define CORACLE_NATIVE_ADDON_LAYER_PATH_H_

#include <atomic>
#include <string>
#include <vector>

#include "native/addon/apply_layer.h"

namespace coracle {

struct LayerPathOptions {
  std::vector<std::string> layers;  // absolute, topmost first, at least one
  std::string path;                 // resolved as if the layers were "/"
  // A directory that is there is copied to here, with owners, modes, attributes and times; what
  // is here must not exist. Empty: nothing is copied.
  std::string copy_to;
  const std::atomic<bool>* cancelled = nullptr;  // may be null
};

enum class LayerPathKind { kMissing, kDirectory, kOther };

// Blocks for as long as a copy takes: for a worker thread. Needs CAP_SYS_ADMIN for more than one
// layer. Of a failed copy there is debris at `copy_to`. Throws nothing.
LayerError read_layer_path(const LayerPathOptions& options, LayerPathKind* kind);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_LAYER_PATH_H_
