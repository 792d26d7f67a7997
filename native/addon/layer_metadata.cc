#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "native/addon/layer_entry.h"
#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

// There is no setxattrat before Linux 6.13: the parent's descriptor gives a path whose last
// component is not followed.
void write_xattrs(int parent, const std::string& name, const Entry& entry) {
  if (entry.xattrs.empty()) return;
  std::string path = "/proc/self/fd/" + std::to_string(parent) + "/" + name;
  for (const auto& [key, value] : entry.xattrs) {
    if (S_ISDIR(entry.mode) && key == kDefaultAcl) continue;  // finish_directory's
    if (lsetxattr(path.c_str(), key.c_str(), value.data(), value.size(), 0) == 0) continue;
    // Only regular files and directories can carry user.* (xattr(7)).
    bool never = errno == EPERM && !S_ISDIR(entry.mode) && key.starts_with("user.");
    if (errno != EOPNOTSUPP && !never) fail_errno("set attribute " + key, entry.path);
  }
}

}  // namespace

void write_metadata(int parent, const std::string& name, const Entry& entry) {
  if (fchownat(parent, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0) {
    fail_errno("chown", entry.path);
  }
  write_xattrs(parent, name, entry);
  if (!S_ISLNK(entry.mode) && fchmodat(parent, name.c_str(), entry.mode & 07777, 0) != 0) {
    fail_errno("chmod", entry.path);
  }
  if (S_ISDIR(entry.mode) || !entry.has_mtime) return;
  struct timespec times[2] = {entry.mtime, entry.mtime};
  if (utimensat(parent, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
    fail_errno("set times", entry.path);
  }
}

void finish_directory(Tree* tree, const std::string& path, const DirectoryEnd& end) {
  Fd own(tree->open_in_root(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (!own) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) return;
    fail_errno("open directory", path);
  }
  if (!end.default_acl.empty() &&
      fsetxattr(own.get(), kDefaultAcl, end.default_acl.data(), end.default_acl.size(), 0) != 0 &&
      errno != EOPNOTSUPP) {
    fail_errno(std::string("set attribute ") + kDefaultAcl, path);
  }
  const struct timespec times[2] = {end.mtime, end.mtime};
  if (end.has_mtime && futimens(own.get(), times) != 0) fail_errno("set times", path);
}

}  // namespace coracle::layer
