#include "native/launch/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr int kMaxLinks = 40;  // of one lookup, as in path_resolution(7)

// What to make of a last component that is missing.
struct Leaf {
  uint32_t type = S_IFDIR;  // S_IFDIR or S_IFREG
  uint32_t mode = 0755;
};

int make_entry(int directory, const char* name, Leaf leaf) {
  return leaf.type == S_IFREG ? mknodat(directory, name, S_IFREG | leaf.mode, 0)
                              : mkdirat(directory, name, leaf.mode);
}

// Where the last component of a path begins and ends; what is before is its parent.
struct Split {
  explicit Split(const char* path) : end(strlen(path)) {
    while (end > 0 && path[end - 1] == '/') --end;
    parent = end;
    while (parent > 0 && path[parent - 1] != '/') --parent;
  }
  size_t end, parent;
};

// Walks a path component by component, making what is missing. Every existing prefix is opened
// from the root, so that links are followed by the kernel's scoped lookup alone; only a single
// name is ever made, in a directory that was reached that way.
class Maker {
 public:
  Maker(int root, Leaf leaf) : root_(root), leaf_(leaf) {}

  // Leaves the O_PATH descriptor of the whole path in `out`.
  bool walk(const char* path, Fd* out) {
    if (!copy(path)) return false;
    Fd parent(open_in_root(root_, "/", O_PATH | O_DIRECTORY));
    if (!parent) return false;
    size_t end = 0;
    while (size_t next = component_end(end)) {
      bool last = component_end(next) == 0;
      char cut = path_[next];
      path_[next] = 0;
      const char* name = path_ + component_begin(end);
      int entry = open_in_root(root_, path_, last ? O_PATH : O_PATH | O_DIRECTORY);
      if (entry < 0 && errno == ENOENT) {
        switch (make(parent.get(), name, last)) {
          case Made::kFailed:
            return false;
          case Made::kYes:
            made_ = last;
            entry = open_in_root(root_, path_, O_PATH);
            break;
          case Made::kDangling:
            path_[next] = cut;
            if (!splice_link(parent.get(), component_begin(end), next)) return false;
            parent = Fd(open_in_root(root_, "/", O_PATH | O_DIRECTORY));
            if (!parent) return false;
            end = 0;
            continue;
        }
      }
      if (entry < 0) return false;
      path_[next] = cut;
      parent.reset(entry);
      end = next;
    }
    *out = Fd(parent.release());
    return true;
  }

  bool made() const { return made_; }

 private:
  enum class Made { kYes, kDangling, kFailed };

  bool copy(const char* path) {
    size_t size = strlen(path);
    if (size >= sizeof(path_)) {
      errno = ENAMETOOLONG;
      return false;
    }
    memcpy(path_, path, size + 1);
    return true;
  }

  size_t component_begin(size_t at) const {
    while (path_[at] == '/') ++at;
    return at;
  }
  // 0 where nothing follows.
  size_t component_end(size_t at) const {
    at = component_begin(at);
    if (path_[at] == 0) return 0;
    while (path_[at] != 0 && path_[at] != '/') ++at;
    return at;
  }

  Made make(int parent, const char* name, bool last) {
    if (make_entry(parent, name, last ? leaf_ : Leaf{}) == 0) return Made::kYes;
    if (errno != EEXIST) return Made::kFailed;
    struct stat entry;
    if (fstatat(parent, name, &entry, AT_SYMLINK_NOFOLLOW) != 0) return Made::kFailed;
    // Anything else was made by somebody else between the two calls.
    return S_ISLNK(entry.st_mode) ? Made::kDangling : Made::kYes;
  }

  // Replaces the link at path_[begin, end) by its content.
  bool splice_link(int parent, size_t begin, size_t end) {
    char content[kMaxPath];
    if (++links_ > kMaxLinks) {
      errno = ELOOP;
      return false;
    }
    char saved = path_[end];
    path_[end] = 0;
    ssize_t size = readlinkat(parent, path_ + begin, content, sizeof(content));
    path_[end] = saved;
    if (size < 0) return false;
    size_t tail = strlen(path_ + end);
    size_t keep = size > 0 && content[0] == '/' ? 0 : begin;
    if (keep + static_cast<size_t>(size) + tail + 1 > sizeof(path_)) {
      errno = ENAMETOOLONG;
      return false;
    }
    memmove(path_ + keep + size, path_ + end, tail + 1);
    memcpy(path_ + keep, content, static_cast<size_t>(size));
    return true;
  }

  int root_;
  Leaf leaf_;
  int links_ = 0;
  bool made_ = false;
  char path_[kMaxPath] = {};
};

}  // namespace

int open_in_root(int root, const char* path, uint64_t flags, uint64_t mode) {
  return sys::openat2(root, path, flags, mode, sys::kResolveInRoot | sys::kResolveNoMagiclinks);
}

bool ParentDirectory::holds(const char* path) const {
  const Split split(path);
  return fd_ && size_ != 0 && split.parent == size_ && memcmp(path, path_, size_) == 0;
}

bool ParentDirectory::find(int root, const char* path) {
  const Split split(path);
  const bool known = holds(path);
  if (!known) forget();
  char parent[kMaxPath];
  if (split.parent == split.end || split.parent >= sizeof(parent) ||
      split.end - split.parent >= sizeof(name_)) {
    errno = split.parent == split.end ? EEXIST : ENAMETOOLONG;
    return false;
  }
  memcpy(name_, path + split.parent, split.end - split.parent);
  name_[split.end - split.parent] = 0;
  if (known) return true;
  memcpy(parent, path, split.parent);
  parent[split.parent] = 0;
  fd_.reset(open_in_root(root, split.parent == 0 ? "/" : parent, O_PATH | O_DIRECTORY));
  if (!fd_ && (errno != ENOENT || !Maker(root, Leaf{}).walk(parent, &fd_))) return false;
  size_ = split.parent <= sizeof(path_) ? split.parent : 0;
  memcpy(path_, path, size_);
  return true;
}

int make_target(int root, const char* path, TargetKind kind, ParentDirectory& parent) {
  const Leaf leaf = kind == TargetKind::kFile ? Leaf{S_IFREG, 0644} : Leaf{};
  const bool known = parent.holds(path);
  int fd = known ? -1 : open_in_root(root, path, O_PATH);
  if (fd < 0 && (known || errno == ENOENT)) {
    // What is new is no link, and on the parent's own mount.
    constexpr uint64_t kNew = sys::kResolveBeneath | sys::kResolveNoSymlinks | sys::kResolveNoXdev;
    if (parent.find(root, path) && make_entry(parent.fd(), parent.name(), leaf) == 0) {
      fd = sys::openat2(parent.fd(), parent.name(), O_PATH, 0, kNew);
      if (fd >= 0) return fd;
    }
    Fd made;
    if (Maker(root, leaf).walk(path, &made)) fd = made.release();
  }
  parent.forget();
  return fd;
}

bool make_directories(int root, const char* path, uint32_t mode, bool* made) {
  Maker maker(root, Leaf{S_IFDIR, mode});
  Fd directory;
  if (!maker.walk(path, &directory)) return false;
  if (made != nullptr) *made = maker.made();
  struct stat entry;
  if (fstat(directory.get(), &entry) != 0) return false;
  if (!S_ISDIR(entry.st_mode)) {
    errno = ENOTDIR;
    return false;
  }
  return true;
}

}  // namespace coracle
