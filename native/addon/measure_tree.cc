#include "native/addon/measure_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "native/sys/fd.h"

namespace coracle {
namespace {

constexpr const char* kStep = "measure";
constexpr int kOpenFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
// Directories on the way down that stay open. The way back from what lies deeper leads through
// "..".
constexpr size_t kMaxOpen = 64;

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

// A directory on the way from the top to where the walk is.
struct Level {
  Fd dir;  // of the first kMaxOpen, and of the last
  dev_t device = 0;
  ino_t inode = 0;
  std::vector<std::string> below;  // directories in it, still to be entered
};

// What vanishes under the walk, or is replaced by something that is no directory.
bool passed_over() {
  return errno == ENOENT || errno == ESTALE || errno == ENOTDIR || errno == ELOOP;
}

class Walk {
 public:
  Walk(const MeasureRequest& request, TreeUsage* usage) : request_(request), usage_(usage) {}

  Failure run() {
    Fd top(open(request_.path.c_str(), kOpenFlags));
    struct stat status = {};
    if (!top || fstat(top.get(), &status) != 0) return failure();
    device_ = status.st_dev;
    add(status);
    if (!look_round(std::move(top), status)) return failure();
    while (!levels_.empty()) {
      if (request_.cancelled != nullptr && request_.cancelled->load()) {
        errno = ECANCELED;
        return failure();
      }
      if (levels_.back().below.empty()) {
        leave();
      } else if (!enter() && !passed_over()) {
        return failure();
      }
    }
    return {};
  }

 private:
  Failure failure() const { return system_failure(kStep, request_.path); }

  void add(const struct stat& status) {
    usage_->inodes += 1;
    usage_->bytes += static_cast<uint64_t>(status.st_blocks) * 512;
  }

  // Counts the entries of a directory and makes it the one where the walk is.
  bool look_round(Fd directory, const struct stat& status) {
    const int fd = openat(directory.get(), ".", kOpenFlags);
    const std::unique_ptr<DIR, CloseDir> dir(fd < 0 ? nullptr : fdopendir(fd));
    if (!dir) {
      Fd(fd).reset();
      return false;
    }
    Level level = {std::move(directory), status.st_dev, status.st_ino, {}};
    while (true) {
      errno = 0;
      const dirent* entry = readdir(dir.get());
      if (entry == nullptr) break;
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      if (!count(entry->d_name, &level)) return false;
    }
    if (errno != 0 && !passed_over()) return false;
    levels_.push_back(std::move(level));
    return true;
  }

  bool count(const char* name, Level* level) {
    struct stat found = {};
    if (fstatat(level->dir.get(), name, &found, AT_SYMLINK_NOFOLLOW) != 0) return passed_over();
    if (found.st_dev != device_) return true;
    const bool directory = S_ISDIR(found.st_mode);
    if (!directory && found.st_nlink > 1 && !linked_.insert(found.st_ino).second) return true;
    add(found);
    if (directory) level->below.emplace_back(name);
    return true;
  }

  bool enter() {
    Level& level = levels_.back();
    const std::string name = std::move(level.below.back());
    level.below.pop_back();
    Fd next(openat(level.dir.get(), name.c_str(), kOpenFlags));
    struct stat status = {};
    if (!next || fstat(next.get(), &status) != 0) return false;
    if (status.st_dev != device_) return true;
    const size_t left = levels_.size() - 1;
    if (!look_round(std::move(next), status)) return false;
    if (left >= kMaxOpen) levels_[left].dir.reset();
    return true;
  }

  // Goes up. Where a directory was moved away or removed under the walk, "..", if anything, is
  // another one than it came through: it then goes on in the deepest that it still has open.
  void leave() {
    const Fd left = std::move(levels_.back().dir);
    levels_.pop_back();
    if (levels_.empty() || levels_.back().dir) return;
    Level& level = levels_.back();
    Fd above(openat(left.get(), "..", kOpenFlags));
    struct stat status = {};
    const bool seen = above && fstat(above.get(), &status) == 0;
    if (seen && status.st_ino == level.inode && status.st_dev == level.device) {
      level.dir = std::move(above);
      return;
    }
    while (!levels_.back().dir) levels_.pop_back();
  }

  const MeasureRequest& request_;
  TreeUsage* usage_;
  dev_t device_ = 0;
  std::vector<Level> levels_;
  std::set<ino_t> linked_;
};

}  // namespace

Failure measure_tree(const MeasureRequest& request, TreeUsage* usage) {
  *usage = {};
  return Walk(request, usage).run();
}

}  // namespace coracle
