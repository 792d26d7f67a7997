// rm -rf that stays inside one mount.
#ifndef CORACLE_NATIVE_ADDON_REMOVE_TREE_H_
#define CORACLE_NATIVE_ADDON_REMOVE_TREE_H_

#include <string>

#include "native/addon/failure.h"

namespace coracle {

// Removes `path` and everything below it; a missing path is no error. Follows no symbolic link
// below `path` and enters no mount, not even a bind mount of the same file system: one in the
// way is an EXDEV failure, and what it holds is untouched. Memory and descriptors are bounded
// whatever the depth. Linux 5.6 (openat2).
Failure remove_tree(const std::string& path);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_REMOVE_TREE_H_
