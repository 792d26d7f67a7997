#include "native/addon/layer_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <climits>

#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

// Also bounds the recursion, and the descriptors, of whoever walks the tree.
constexpr int kMaxDepth = 256;
constexpr int kMaxLinks = 40;  // the kernel's own limit, path_resolution(7)

}  // namespace

std::string clean_path(std::string_view name) {
  if (name.size() >= PATH_MAX) fail_data("the name is too long", std::string(name), ENAMETOOLONG);
  std::string path;
  int depth = 0;
  bool climbs = false;
  while (!name.empty()) {
    size_t slash = name.find('/');
    std::string_view part = name.substr(0, slash);
    name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    climbs = part == "..";
    // At the top there is nothing to climb to.
    if (climbs && path.empty()) continue;
    if (part.size() > NAME_MAX || ++depth > kMaxDepth) {
      fail_data(part.size() > NAME_MAX ? "a component of the name is too long"
                                       : "the name has too many components",
                path + "/" + std::string(part), ENAMETOOLONG);
    }
    if (!path.empty()) path += '/';
    path += part;
  }
  if (climbs && !path.empty()) fail_data("the name ends in \"..\"", path, EINVAL);
  return path;
}

std::string_view base_name(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string_view parent_path(std::string_view path) {
  size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

int Tree::open_in_root(const std::string& path, int flags) const {
  struct open_how how {};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  const char* name = path.empty() ? "." : path.c_str();
  // With ".." in the path, any rename or mount on the machine makes the kernel say EAGAIN, since
  // it could not exclude an escape.
  for (int attempt = 0;; ++attempt) {
    long fd = syscall(SYS_openat2, root_, name, &how, sizeof how);
    if (fd >= 0 || (errno != EAGAIN && errno != EINTR) || attempt == 1000) {
      return static_cast<int>(fd);
    }
  }
}

Tree::Tree(int root, uint64_t max_made) : root_(root), may_make_(max_made) {
  find_real_name(root, "", &root_name_);
  if (root_name_ == "/") root_name_.clear();
}

// False, with ENAMETOOLONG, for what lies too deep to have a name.
bool Tree::find_real_name(int fd, std::string_view fallback, std::string* name) const {
  char target[PATH_MAX];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = readlink(link.c_str(), target, sizeof target);
  if (size < 0 && errno == ENAMETOOLONG) return false;
  if (size <= 0) {
    name->assign(fallback.empty() ? 0 : 1, '/').append(fallback);
  } else {
    const size_t skip = std::min(root_name_.size(), static_cast<size_t>(size));
    name->assign(target + skip, static_cast<size_t>(size) - skip);
  }
  if (std::count(name->begin(), name->end(), '/') <= kMaxDepth) return true;
  errno = ENAMETOOLONG;
  return false;
}

int Tree::directory(std::string_view path, bool create) {
  if (path.empty()) {
    real_name_.clear();
    return root_;
  }
  if (cached_ && cached_path_ == path) {
    real_name_ = cached_name_;
    return cached_.get();
  }
  std::string wanted(path);
  Fd fd(open_in_root(wanted, O_PATH | O_DIRECTORY));
  if (!fd && errno == ENOENT && create) fd.reset(make_directory(wanted, kMaxLinks));
  if (!fd || !find_real_name(fd.get(), path, &cached_name_)) return -1;
  real_name_ = cached_name_;
  cached_ = std::move(fd);
  cached_path_ = std::move(wanted);
  return cached_.get();
}

// Symlinks make a short name of a deep place, so depth is looked at where it grows.
int Tree::make_one(int above, const std::string& name, const std::string& path) {
  if (may_make_ == 0) fail_data("too many directories that are not listed", path, EFBIG);
  --may_make_;
  std::string real;
  if (!find_real_name(above, parent_path(path), &real)) return -1;
  if (mkdirat(above, name.c_str(), 0755) != 0) return -1;
  // mkdirat has obeyed the process's umask.
  return fchmodat(above, name.c_str(), 0755, 0);
}

// The name that a symlink leads to from `directory`, relative to the root; empty and errno.
std::string Tree::follow(int parent, const std::string& name, std::string_view directory) {
  char target[PATH_MAX];
  const ssize_t size = readlinkat(parent, name.c_str(), target, sizeof target);
  if (size < 0) return {};
  std::string to(target, static_cast<size_t>(size));
  if (to.empty() || to[0] != '/') to = std::string(directory) + to;
  const size_t start = to.find_first_not_of('/');
  const size_t end = to.find_last_not_of('/');
  if (start == std::string::npos || to.size() >= PATH_MAX) {
    errno = start == std::string::npos ? EEXIST : ENAMETOOLONG;
    return {};
  }
  return to.substr(start, end - start + 1);
}

int Tree::make_directory(const std::string& path, int links_left) {
  Fd parent;
  size_t end = 0;
  while (true) {
    const size_t start = end == 0 ? 0 : end + 1;
    end = path.find('/', start);
    const std::string prefix = path.substr(0, end);
    Fd here(open_in_root(prefix, O_PATH | O_DIRECTORY));
    if (!here) {
      if (errno != ENOENT) return -1;
      const int above = parent ? parent.get() : root_;
      const std::string name = prefix.substr(start);
      if (make_one(above, name, prefix) == 0) {
        here.reset(open_in_root(prefix, O_PATH | O_DIRECTORY));
      } else if (errno == EEXIST) {
        // A symlink to what does not exist yet: make that, as a later layer would find it.
        const std::string to = follow(above, name, std::string_view(path).substr(0, start));
        if (to.empty()) return -1;
        if (links_left == 0) {
          errno = ELOOP;
          return -1;
        }
        here.reset(make_directory(to, links_left - 1));
      }
      if (!here) return -1;
    }
    if (end == std::string::npos) return here.release();
    parent = std::move(here);
  }
}

}  // namespace coracle::layer
