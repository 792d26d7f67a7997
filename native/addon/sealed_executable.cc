#include "native/addon/sealed_executable.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

namespace coracle {
namespace {

constexpr unsigned kMfdExec = 0x10;  // Linux 6.3
constexpr int kSealExec = 0x20;      // F_SEAL_EXEC, Linux 6.3
constexpr off_t kMaxExecutable = 64 * 1024 * 1024;

Failure read_file(int fd, const std::string& path, off_t size, std::vector<uint8_t>* bytes) {
  bytes->resize(static_cast<size_t>(size));
  size_t filled = 0;
  while (filled < bytes->size()) {
    const ssize_t count = read(fd, bytes->data() + filled, bytes->size() - filled);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure("read", path);
    if (count == 0) break;
    filled += static_cast<size_t>(count);
  }
  bytes->resize(filled);
  return {};
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino && a.st_size == b.st_size &&
         a.st_mtim.tv_sec == b.st_mtim.tv_sec && a.st_mtim.tv_nsec == b.st_mtim.tv_nsec;
}

}  // namespace

bool is_executable(int fd) {
  struct stat status = {};
  return fstat(fd, &status) == 0 && (status.st_mode & 0111) == 0111;
}

Failure sealed_memfd(const char* name, std::span<const uint8_t> bytes, bool executable, Fd* memfd) {
  const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  Fd fd(memfd_create(name, flags | (executable ? kMfdExec : 0)));
  if (!fd && errno == EINVAL && executable) fd = Fd(memfd_create(name, flags));
  if (!fd) return system_failure("create memfd", name);
  for (size_t written = 0; written < bytes.size();) {
    const ssize_t count = write(fd.get(), bytes.data() + written, bytes.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_failure("write memfd", name);
    written += static_cast<size_t>(count);
  }
  const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  const int result = executable ? fcntl(fd.get(), F_ADD_SEALS, seals | kSealExec) : -1;
  if (result != 0 && fcntl(fd.get(), F_ADD_SEALS, seals) != 0) {
    return system_failure("seal memfd", name);
  }
  lseek(fd.get(), 0, SEEK_SET);
  *memfd = std::move(fd);
  return {};
}

Failure SealedExecutable::get(const std::string& path, int* fd) {
  struct stat now = {};
  if (copy_ && path == path_ && stat(path.c_str(), &now) == 0 && same_file(now, status_) &&
      is_executable(copy_.get())) {
    *fd = copy_.get();
    return {};
  }
  Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file || fstat(file.get(), &now) != 0) return system_failure("open", path);
  if (!S_ISREG(now.st_mode) || now.st_size > kMaxExecutable) {
    return Failure{ENOEXEC, "open", path};
  }
  std::vector<uint8_t> bytes;
  Failure failure = read_file(file.get(), path, now.st_size, &bytes);
  if (failure.failed()) return failure;
  Fd copy;
  failure = sealed_memfd("coracle-monitor", bytes, true, &copy);
  if (failure.failed()) return failure;
  copy_ = std::move(copy);
  path_ = path;
  status_ = now;
  *fd = copy_.get();
  return {};
}

}  // namespace coracle
