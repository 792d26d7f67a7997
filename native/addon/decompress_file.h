// Writes a compressed file out plain.
#ifndef CORACLE_NATIVE_ADDON_DECOMPRESS_FILE_H_
#define CORACLE_NATIVE_ADDON_DECOMPRESS_FILE_H_

#include <atomic>
#include <cstdint>
#include <string>

#include "native/addon/apply_layer.h"

namespace coracle {

struct DecompressOptions {
  std::string blob;
  Compression compression = Compression::kNone;
  std::string target;                            // made, mode 0600; must not exist
  uint64_t max_bytes = 0;                        // EFBIG beyond
  const std::atomic<bool>* cancelled = nullptr;  // may be null; ECANCELED
};

// Blocks for as long as it takes: for a worker thread. What is written is not synced. On failure
// there is no `target` (unless it was there before: EEXIST). Throws nothing.
LayerError decompress_file(const DecompressOptions& options);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_DECOMPRESS_FILE_H_
