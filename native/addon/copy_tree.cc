#include "native/addon/copy_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "native/addon/layer_fail.h"
#include "native/sys/fd.h"

namespace coracle::layer {
namespace {

// As deep as a layer may be (layer_tree.h).
constexpr size_t kMaxDepth = 256;
// What one call copies: a cancellation waits for no more.
constexpr size_t kChunk = 8 << 20;
constexpr std::string_view kOverlayPrefix = "trusted.overlay.";

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

// Before Linux 5.19 copy_file_range(2) did not cross file systems; some do not have it at all.
bool is_no_range(int code) {
  return code == EXDEV || code == EINVAL || code == EOPNOTSUPP || code == ENOSYS;
}

// Returns how many bytes were copied; 0 at the end of the file.
ssize_t copy_piece(int from, int to, off_t at, size_t size, std::vector<char>* buffer,
                   const std::string& path) {
  buffer->resize(1 << 17);
  ssize_t got;
  do {
    got = pread(from, buffer->data(), std::min(size, buffer->size()), at);
  } while (got < 0 && errno == EINTR);
  if (got < 0) fail_errno("read", path);
  for (ssize_t done = 0; done < got;) {
    const ssize_t wrote =
        pwrite(to, buffer->data() + done, static_cast<size_t>(got - done), at + done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail_errno("write", path);
    done += wrote;
  }
  return got;
}

class Copier {
 public:
  Copier(int top, const std::atomic<bool>* cancelled) : top_(top), cancelled_(cancelled) {}

  // `below` is the path of `to` below the top, "" or ending in "/".
  void directory(int from, int to, const std::string& path, const std::string& below,
                 size_t depth) {
    if (depth > kMaxDepth) fail_data("directories too deep", path, ELOOP);
    const int own = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0) fail_errno("open directory", path);
    std::unique_ptr<DIR, CloseDir> dir(fdopendir(own));
    if (!dir) {
      const int code = errno;
      close(own);
      errno = code;
      fail_errno("open directory", path);
    }
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(dir.get());
      if (entry == nullptr) break;
      const char* name = entry->d_name;
      if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
        one(own, to, name, path + "/" + name, below, depth);
      }
    }
    if (errno != 0) fail_errno("read directory", path);
    struct stat status;
    if (fstat(own, &status) != 0) fail_errno("stat", path);
    metadata(own, to, ".", status, path);
  }

 private:
  void stop_if_cancelled(const std::string& path) const {
    if (cancelled_ != nullptr && cancelled_->load(std::memory_order_relaxed)) {
      fail_data("cancelled", path, ECANCELED);
    }
  }

  void one(int from, int to, const char* name, const std::string& path, const std::string& below,
           size_t depth) {
    stop_if_cancelled(path);
    struct stat status;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) fail_errno("stat", path);
    if (S_ISCHR(status.st_mode) && status.st_rdev == 0) return;
    const std::string here = below + name;
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
      const auto [first, is_new] = links_.try_emplace({status.st_dev, status.st_ino}, here);
      if (!is_new) {
        if (linkat(top_, first->second.c_str(), to, name, 0) != 0) fail_errno("link", path);
        return;
      }
    }
    switch (status.st_mode & S_IFMT) {
      case S_IFDIR: {
        if (mkdirat(to, name, 0700) != 0) fail_errno("mkdir", path);
        const Fd inner(openat(from, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        const Fd made(openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (!inner || !made) fail_errno("open directory", path);
        return directory(inner.get(), made.get(), path, here + "/", depth + 1);
      }
      case S_IFREG:
        regular(from, to, name, status, path);
        break;
      case S_IFLNK:
        symlink(from, to, name, path);
        break;
      default:
        if (mknodat(to, name, (status.st_mode & S_IFMT) | 0600, status.st_rdev) != 0) {
          fail_errno("mknod", path);
        }
    }
    metadata(from, to, name, status, path);
  }

  void regular(int from, int to, const char* name, const struct stat& status,
               const std::string& path) {
    const Fd in(openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!in) fail_errno("open", path);
    const Fd out(openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!out) fail_errno("create", path);
    for (off_t at = 0; at < status.st_size;) {
      const off_t data = lseek(in.get(), at, SEEK_DATA);
      if (data < 0 && errno == ENXIO) break;
      if (data < 0) fail_errno("find data", path);
      const off_t hole = lseek(in.get(), data, SEEK_HOLE);
      if (hole < 0) fail_errno("find hole", path);
      content(in.get(), out.get(), data, hole, path);
      at = hole;
    }
    if (ftruncate(out.get(), status.st_size) != 0) fail_errno("set file size", path);
  }

  void content(int in, int out, off_t at, off_t end, const std::string& path) {
    while (at < end) {
      stop_if_cancelled(path);
      const size_t size = std::min(static_cast<size_t>(end - at), kChunk);
      ssize_t copied = -1;
      if (ranges_) {
        off_t from = at, to = at;
        copied = copy_file_range(in, &from, out, &to, size, 0);
        if (copied < 0 && !is_no_range(errno)) fail_errno("copy", path);
        ranges_ = copied >= 0;
      }
      if (!ranges_) copied = copy_piece(in, out, at, size, &buffer_, path);
      if (copied == 0) return;
      at += copied;
    }
  }

  void symlink(int from, int to, const char* name, const std::string& path) {
    char target[4096];
    const ssize_t size = readlinkat(from, name, target, sizeof(target) - 1);
    if (size < 0) fail_errno("read link", path);
    target[size] = 0;
    if (symlinkat(target, to, name) != 0) fail_errno("symlink", path);
  }

  void metadata(int from, int to, const char* name, const struct stat& status,
                const std::string& path) {
    if (fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0) {
      fail_errno("chown", path);
    }
    attributes(from, to, name, path);
    // After the owner, whose change takes set-id bits away, and after an access ACL.
    if (!S_ISLNK(status.st_mode) && fchmodat(to, name, status.st_mode & 07777, 0) != 0) {
      fail_errno("chmod", path);
    }
    const struct timespec times[2] = {status.st_atim, status.st_mtim};
    if (utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) != 0) fail_errno("set times", path);
  }

  // There is no *xattrat(2) before Linux 6.13: a parent's descriptor gives a path whose last
  // component is not followed.
  void attributes(int from, int to, const char* name, const std::string& path) {
    const std::string source = "/proc/self/fd/" + std::to_string(from) + "/" + name;
    const std::string target = "/proc/self/fd/" + std::to_string(to) + "/" + name;
    const ssize_t size = llistxattr(source.c_str(), nullptr, 0);
    if (size == 0 || (size < 0 && errno == EOPNOTSUPP)) return;
    if (size < 0) fail_errno("list attributes", path);
    std::vector<char> names(static_cast<size_t>(size));
    const ssize_t got = llistxattr(source.c_str(), names.data(), names.size());
    if (got < 0) fail_errno("list attributes", path);
    std::vector<char> value;
    for (const char* key = names.data(); key < names.data() + got; key += strlen(key) + 1) {
      if (std::string_view(key).starts_with(kOverlayPrefix)) continue;
      value.resize(XATTR_SIZE_MAX);
      const ssize_t length = lgetxattr(source.c_str(), key, value.data(), value.size());
      if (length < 0) fail_errno(std::string("read attribute ") + key, path);
      const int set = lsetxattr(target.c_str(), key, value.data(), static_cast<size_t>(length), 0);
      if (set != 0 && errno != EOPNOTSUPP) {
        fail_errno(std::string("set attribute ") + key, path);
      }
    }
  }

  int top_;
  const std::atomic<bool>* cancelled_;
  std::map<std::pair<dev_t, ino_t>, std::string> links_;
  std::vector<char> buffer_;
  bool ranges_ = true;
};

}  // namespace

void copy_tree(int from, int to, const std::string& path, const std::atomic<bool>* cancelled) {
  Copier(to, cancelled).directory(from, to, path, "", 0);
}

}  // namespace coracle::layer
