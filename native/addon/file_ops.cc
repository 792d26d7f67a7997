#include "native/addon/file_ops.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <string_view>

#include "native/addon/remove_tree.h"
#include "native/sys/fd.h"

namespace coracle {
namespace {

// A cgroup whose last process has just exited stays busy for moments; 255 ms in all.
constexpr int kBusyRetries = 8;

bool is_directory(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

Failure make_directory(const std::string& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) == 0) return {};
  const int code = errno;
  if (code == EEXIST && is_directory(path)) return {};
  return Failure{code, "mkdir", path};
}

Failure make_directories(const FileOp& op) {
  if (!op.parents) return make_directory(op.path, op.mode);
  // Mostly all but the last component exist: try that one first.
  if (mkdir(op.path.c_str(), op.mode) == 0) return {};
  for (size_t slash = op.path.find('/', 1); slash != std::string::npos;
       slash = op.path.find('/', slash + 1)) {
    Failure failure = make_directory(op.path.substr(0, slash), op.mode);
    // A parent on a read-only file system is fine as long as it exists.
    if (failure.failed() && !is_directory(failure.path)) return failure;
  }
  return make_directory(op.path, op.mode);
}

// Errors of open(2) and write(2) by which cgroupfs and procfs say "not here" or "not this".
bool is_refusal(int code) {
  switch (code) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case EACCES:
    case EPERM:
    case EROFS:
    case EINVAL:
    case ERANGE:
    case EBUSY:
    case EOPNOTSUPP:
      return true;
    default:
      return false;
  }
}

// The file of the last write, as long as nothing else comes: the device rules of a cgroup go to one
// file, a write each.
struct LastFile {
  std::string path;
  Fd fd;
};

Failure write_file(const FileOp& op, LastFile* last) {
  if (!last->fd || last->path != op.path) {
    last->fd.reset(open(op.path.c_str(), O_WRONLY | O_CLOEXEC));
    last->path = op.path;
  }
  const Fd& file = last->fd;
  ssize_t written = -1;
  if (file) {
    do {
      written = pwrite(file.get(), op.value.data(), op.value.size(), 0);
    } while (written < 0 && errno == EINTR);
  }
  if (written == static_cast<ssize_t>(op.value.size())) return {};
  if (written >= 0) errno = EIO;
  if (op.optional && written < 0 && is_refusal(errno)) return {};
  const int code = errno;
  return Failure{code, file ? "write \"" + op.value.substr(0, 80) + "\" to" : "open", op.path};
}

// The mode and the owner are the file's whatever the umask is, and whoever had it before.
Failure create_file(const FileOp& op) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
  const Fd file(open(op.path.c_str(), kFlags, op.mode));
  if (!file) return system_failure("open", op.path);
  for (size_t done = 0; done < op.value.size();) {
    const ssize_t written = write(file.get(), op.value.data() + done, op.value.size() - done);
    if (written < 0 && errno != EINTR) return system_failure("write", op.path);
    if (written > 0) done += static_cast<size_t>(written);
  }
  // A change of owner takes set-id bits away.
  if (fchown(file.get(), op.uid, op.gid) != 0) return system_failure("chown", op.path);
  if (fchmod(file.get(), op.mode) != 0) return system_failure("chmod", op.path);
  return {};
}

// Where it cannot be moved, as to another file system or on a full disk, it is deleted here.
Failure discard(const FileOp& op) {
  if (rename(op.path.c_str(), op.to.c_str()) == 0) return {};
  return remove_tree(op.path);
}

std::vector<std::string> directories_in(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(opendir(path.c_str()), closedir);
  std::vector<std::string> paths;
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
    paths.push_back(path + "/" + entry->d_name);
  }
  return paths;
}

// A cgroup in which there are others is busy, too.
Failure remove_directory(const std::string& path, bool below) {
  for (int attempt = 0;; attempt++) {
    if (rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
    if (below && (errno == EBUSY || errno == ENOTEMPTY)) {
      below = false;
      for (const std::string& inner : directories_in(path)) {
        Failure failure = remove_directory(inner, true);
        if (failure.failed()) return failure;
      }
      if (rmdir(path.c_str()) == 0 || errno == ENOENT) return {};
    }
    if (errno != EBUSY || attempt == kBusyRetries) return system_failure("rmdir", path);
    const timespec pause = {0, 1'000'000L << attempt};
    nanosleep(&pause, nullptr);
  }
}

// The file that stands in for the mount must be there first; of a failure nothing is left.
Failure bind_file(const FileOp& op) {
  const Fd made(open(op.path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!made && errno != EEXIST) return system_failure("open", op.path);
  if (mount(op.source.c_str(), op.path.c_str(), nullptr, MS_BIND, nullptr) == 0) return {};
  Failure failure = system_failure("bind " + op.source + " to", op.path);
  if (made) unlink(op.path.c_str());
  return failure;
}

// EINVAL says that nothing is mounted there (any more).
Failure unbind_file(const std::string& path) {
  while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) continue;
  if (errno != EINVAL && errno != ENOENT) return system_failure("umount", path);
  if (unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return system_failure("unlink", path);
}

}  // namespace

Failure run_file_ops(const std::vector<FileOp>& ops) {
  LastFile last;
  for (const FileOp& op : ops) {
    Failure failure;
    if (op.kind != FileOp::Kind::kWrite) last.fd.reset();
    switch (op.kind) {
      case FileOp::Kind::kMkdir:
        failure = make_directories(op);
        break;
      case FileOp::Kind::kWrite:
        failure = write_file(op, &last);
        break;
      case FileOp::Kind::kCreate:
        failure = create_file(op);
        break;
      case FileOp::Kind::kRmdir:
        failure = remove_directory(op.path, op.below);
        break;
      case FileOp::Kind::kRemoveTree:
        failure = remove_tree(op.path);
        break;
      case FileOp::Kind::kDiscard:
        failure = discard(op);
        break;
      case FileOp::Kind::kBindFile:
        failure = bind_file(op);
        break;
      case FileOp::Kind::kUnbindFile:
        failure = unbind_file(op.path);
        break;
    }
    if (failure.failed()) return failure;
  }
  return {};
}

}  // namespace coracle
