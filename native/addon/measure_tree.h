// What a directory tree takes of the disk, as du(1) counts it.
#ifndef CORACLE_NATIVE_ADDON_MEASURE_TREE_H_
#define CORACLE_NATIVE_ADDON_MEASURE_TREE_H_

#include <stdint.h>

#include <atomic>
#include <string>

#include "native/addon/failure.h"

namespace coracle {

struct MeasureRequest {
  std::string path;
  const std::atomic<bool>* cancelled = nullptr;  // may be null; ECANCELED
};

struct TreeUsage {
  uint64_t bytes = 0;   // allocated, 512 to a block of stat(2)
  uint64_t inodes = 0;  // the top and everything below; hard links once
};

// Walks a tree that others may change meanwhile, whatever its depth, with no more than 66
// descriptors, and without following symbolic links or entering other mounts. What vanishes or is
// moved away under it is passed over. Takes about 1 µs an entry that is in the cache: for a thread
// of its own.
Failure measure_tree(const MeasureRequest& request, TreeUsage* usage);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_MEASURE_TREE_H_
