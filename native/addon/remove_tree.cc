#include "native/addon/remove_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

// Directories open at once. What lies deeper is moved up to the top and removed from there.
constexpr size_t kMaxDepth = 100;
// A directory that others still fill is given up on after so many passes.
constexpr int kMaxPasses = 16;

constexpr const char* kStep = "remove";

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

struct Level {
  std::unique_ptr<DIR, CloseDir> dir;
  std::string name;  // in the directory above
  int passes = 0;
};

class Remover {
 public:
  explicit Remover(std::string top) : top_(std::move(top)) {}

  // Empties the directory `fd`.
  Failure empty(Fd fd) {
    Failure failure = push(std::move(fd), "");
    while (!failure.failed() && !levels_.empty()) failure = step();
    return failure;
  }

 private:
  int here() const { return dirfd(levels_.back().dir.get()); }

  std::string path(const char* name) const {
    std::string path = top_;
    for (size_t i = 1; i < levels_.size(); i++) path += "/" + levels_[i].name;
    return *name == '\0' ? path : path + "/" + name;
  }

  Failure push(Fd fd, std::string name) {
    DIR* dir = fdopendir(fd.get());
    if (dir == nullptr) return system_failure(kStep, path(name.c_str()));
    (void)fd.release();
    levels_.push_back(Level{std::unique_ptr<DIR, CloseDir>(dir), std::move(name)});
    return {};
  }

  // Handles one entry of the deepest directory, or its end.
  Failure step() {
    errno = 0;
    const dirent* entry = readdir(levels_.back().dir.get());
    if (entry == nullptr) return errno != 0 ? system_failure(kStep, path("")) : pop();
    const char* name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return {};
    if (entry->d_type != DT_DIR) {
      if (unlinkat(here(), name, 0) == 0 || errno == ENOENT) return {};
      if (errno != EISDIR) return system_failure(kStep, path(name));
    }
    return enter(name);
  }

  Failure enter(const char* name) {
    if (unlinkat(here(), name, AT_REMOVEDIR) == 0 || errno == ENOENT) return {};
    if (errno == EBUSY) errno = EXDEV;  // a mount point
    if (errno != ENOTEMPTY && errno != EEXIST) return system_failure(kStep, path(name));
    if (levels_.size() >= kMaxDepth) return lift(name);
    Fd fd(sys::openat2(here(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
                       sys::kResolveNoXdev | sys::kResolveBeneath));
    if (!fd) return errno == ENOENT ? Failure{} : system_failure(kStep, path(name));
    return push(std::move(fd), name);
  }

  // Moves a deep directory to the top, where a later pass finds it.
  Failure lift(const char* name) {
    const int top = dirfd(levels_.front().dir.get());
    const std::string lifted = ".coracle-lifted-" + std::to_string(lifted_++);
    if (renameat(here(), name, top, lifted.c_str()) != 0 && errno != ENOENT) {
      return system_failure(kStep, path(name));
    }
    levels_.front().passes = 0;
    again_ = true;
    return {};
  }

  // The deepest directory has been read to its end.
  Failure pop() {
    Level& level = levels_.back();
    if (levels_.size() == 1) {
      if (!again_) return levels_.pop_back(), Failure{};
      again_ = false;
      rewinddir(level.dir.get());
      return {};
    }
    const int above = dirfd(levels_[levels_.size() - 2].dir.get());
    if (unlinkat(above, level.name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
      const bool filled = errno == ENOTEMPTY || errno == EEXIST;
      if (!filled || ++level.passes >= kMaxPasses) return system_failure(kStep, path(""));
      rewinddir(level.dir.get());
      return {};
    }
    levels_.pop_back();
    return {};
  }

  std::string top_;
  std::vector<Level> levels_;
  uint64_t lifted_ = 0;
  bool again_ = false;  // the top directory needs another pass
};

}  // namespace

Failure remove_tree(const std::string& path) {
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR && errno != EPERM) return system_failure(kStep, path);
  for (int pass = 0;; pass++) {
    Fd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd) return errno == ENOENT ? Failure{} : system_failure(kStep, path);
    Failure failure = Remover(path).empty(std::move(fd));
    if (failure.failed()) return failure;
    if (rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
    if (errno == EBUSY) errno = EXDEV;
    const bool filled = errno == ENOTEMPTY || errno == EEXIST;
    if (!filled || pass >= kMaxPasses) return system_failure(kStep, path);
  }
}

}  // namespace coracle
