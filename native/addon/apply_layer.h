// Applies one image layer: a tar, perhaps compressed, becomes a directory tree.
#ifndef CORACLE_NATIVE_ADDON_APPLY_LAYER_H_
#define CORACLE_NATIVE_ADDON_APPLY_LAYER_H_

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

namespace coracle {

enum class Compression { kNone, kGzip, kZstd };

struct ApplyLayerOptions {
  std::string blob;  // the layer's file
  Compression compression = Compression::kNone;
  std::string target;                // exists, is empty; receives the tree
  std::vector<std::string> parents;  // the layers below, topmost first
  // An empty directory on the file system of `target`, used only where there are parents. What
  // is in it afterwards is the caller's to remove.
  std::string work;
  uint64_t max_bytes = 0;    // of the uncompressed tar, and of the files it declares
  uint64_t max_entries = 0;  // tar entries
  const std::atomic<bool>* cancelled = nullptr;  // may be null
};

struct ApplyLayerResult {
  std::string digest;    // sha256 of the blob, hex
  std::string diff_id;   // sha256 of the uncompressed tar, hex
  uint64_t size = 0;     // bytes of the regular files under `target`
  uint64_t entries = 0;  // inodes under `target`
};

struct LayerError {
  int code = 0;      // errno(3); 0 where no system call failed
  std::string step;  // empty: no error
  std::string path;
  explicit operator bool() const { return !step.empty(); }
};

// Blocks for as long as the layer takes: for a worker thread. Needs CAP_SYS_ADMIN for layers
// with parents, else CAP_CHOWN, CAP_FOWNER, CAP_MKNOD and CAP_SETFCAP as the layer's entries do.
//
// A layer with parents is written through an overlay mount of all of them that is attached
// nowhere, so a directory that is a symlink below ("lib" -> "usr/lib") takes the entry where the
// container will look for it, and whiteouts become overlay's own. Semantics are those of the OCI
// image specification 1.1 ("Image Layer Filesystem Changeset"). Names that climb out of the
// tree are confined to it by openat2(2) RESOLVE_IN_ROOT (Linux 5.6).
//
// On success everything is on disk (syncfs(2)). On failure, and once *cancelled is true
// (ECANCELED), `target` and `work` hold debris that the caller removes. Throws nothing.
LayerError apply_layer(const ApplyLayerOptions& options, ApplyLayerResult* result);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_APPLY_LAYER_H_
