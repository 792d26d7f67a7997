// Copies a directory tree with everything that the kernel keeps about a file.
#ifndef CORACLE_NATIVE_ADDON_COPY_TREE_H_
#define CORACLE_NATIVE_ADDON_COPY_TREE_H_

#include <atomic>
#include <string>

namespace coracle::layer {

// Copies what is in the directory `from` into the empty directory `to`, and gives `to` the owner,
// mode, attributes and times of `from`. Hard links stay links of each other, holes stay holes;
// overlay's own marks (whiteouts, trusted.overlay.*) are left out. Nothing is followed, and nothing
// is synced. `path` names `from` in messages. Fails with Failure of layer_fail.h; ECANCELED once
// *cancelled (may be null) is true; ELOOP below 256 directories.
void copy_tree(int from, int to, const std::string& path, const std::atomic<bool>* cancelled);

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_COPY_TREE_H_
