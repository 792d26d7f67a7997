#include "native/addon/layer_path.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "native/addon/copy_tree.h"
#include "native/addon/layer_fail.h"
#include "native/addon/layer_union.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace layer {
namespace {

LayerPathKind read_path(const LayerPathOptions& options) {
  const Fd root = open_union({options.layers, "", ""});
  const Fd found(sys::openat2(root.get(), options.path.c_str(), O_PATH, 0,
                              sys::kResolveInRoot | sys::kResolveNoMagiclinks));
  if (!found) {
    if (errno == ENOENT || errno == ENOTDIR) return LayerPathKind::kMissing;
    fail_errno("look up", options.path);
  }
  struct stat status;
  if (fstat(found.get(), &status) != 0) fail_errno("stat", options.path);
  // A lone layer is no overlay, which would hide them.
  if (S_ISCHR(status.st_mode) && status.st_rdev == 0) return LayerPathKind::kMissing;
  if (!S_ISDIR(status.st_mode)) return LayerPathKind::kOther;
  if (!options.copy_to.empty()) {
    if (mkdir(options.copy_to.c_str(), 0700) != 0) fail_errno("mkdir", options.copy_to);
    const Fd to(open(options.copy_to.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!to) fail_errno("open directory", options.copy_to);
    copy_tree(found.get(), to.get(), options.path, options.cancelled);
  }
  return LayerPathKind::kDirectory;
}

}  // namespace
}  // namespace layer

LayerError read_layer_path(const LayerPathOptions& options, LayerPathKind* kind) {
  return layer::report("", options.path, [&] { *kind = layer::read_path(options); });
}

}  // namespace coracle
