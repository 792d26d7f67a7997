// Layers as one tree: an overlay mount that is attached nowhere.
#ifndef CORACLE_NATIVE_ADDON_LAYER_UNION_H_
#define CORACLE_NATIVE_ADDON_LAYER_UNION_H_

#include <string>
#include <vector>

#include "native/sys/fd.h"

namespace coracle::layer {

struct UnionSpec {
  std::vector<std::string> lower;  // absolute, topmost first, at least one
  std::string upper;               // empty, with `work`: a read-only tree
  std::string work;
};

enum class UnionMethod {
  kBest,
  // fsopen(2), fsconfig(2) "lowerdir+" (Linux 6.7; 500 layers), fsmount(2).
  kMountApi,
  // mount(2) in a thread's own mount namespace, lazily unmounted. The descriptor keeps the mount
  // alive. For older kernels, whose fsconfig takes at most 255 bytes for the whole layer list.
  kThread,
};

// The root of the mount as a descriptor; closing it unmounts. The one layer of a read-only tree is
// that layer's directory itself, since overlayfs takes no such mount: its whiteouts show as the
// devices 0:0, and its overlay attributes show. Fails with the step and errno of
// the call that was refused.
Fd open_union(const UnionSpec& spec, UnionMethod method = UnionMethod::kBest);

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_UNION_H_
