#include "native/addon/layer_tree.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <climits>

#include "native/addon/layer_fail.h"

namespace coracle::layer {
namespace {

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

int Tree::directory(std::string_view path, bool create) {
  if (path.empty()) return root_;
  if (cached_ && cached_path_ == path) return cached_.get();
  std::string wanted(path);
  int fd = open_in_root(wanted, O_PATH | O_DIRECTORY);
  if (fd < 0 && errno == ENOENT && create) fd = make_directory(wanted, kMaxLinks);
  if (fd < 0) return -1;
  cached_.reset(fd);
  cached_path_ = std::move(wanted);
  return fd;
}

int Tree::make_directory(const std::string& path, int links_left) {
  Fd parent;
  size_t end = 0;
  while (true) {
    size_t start = end == 0 ? 0 : end + 1;
    end = path.find('/', start);
    std::string prefix = path.substr(0, end);
    Fd here(open_in_root(prefix, O_PATH | O_DIRECTORY));
    if (!here) {
      if (errno != ENOENT) return -1;
      int above = parent ? parent.get() : root_;
      std::string name = prefix.substr(start);
      if (mkdirat(above, name.c_str(), 0755) != 0) {
        if (errno != EEXIST) return -1;
        // A symlink to what does not exist yet: make that, as a later layer would find it.
        char target[PATH_MAX];
        ssize_t size = readlinkat(above, name.c_str(), target, sizeof target);
        if (size < 0) return -1;
        if (links_left == 0 || size == static_cast<ssize_t>(sizeof target)) {
          errno = ELOOP;
          return -1;
        }
        std::string to(target, static_cast<size_t>(size));
        if (to.empty() || to[0] != '/') to = path.substr(0, start) + to;
        while (!to.empty() && (to[0] == '/' || to.back() == '/')) {
          to.back() == '/' ? to.pop_back() : (void)to.erase(0, 1);
        }
        here.reset(make_directory(to, links_left - 1));
      } else {
        // mkdirat has obeyed the process's umask.
        if (fchmodat(above, name.c_str(), 0755, 0) != 0) return -1;
        here.reset(open_in_root(prefix, O_PATH | O_DIRECTORY));
      }
      if (!here) return -1;
    }
    if (end == std::string::npos) return here.release();
    parent = std::move(here);
  }
}

}  // namespace coracle::layer
