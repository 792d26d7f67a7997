#include "native/addon/open_log.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr const char* kStep = "open log";

// Somebody who makes and removes the file between two calls is not followed for ever.
constexpr int kAttempts = 16;

bool starts_with_directory(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() + 1 && path.compare(0, directory.size(), directory) == 0 &&
         path[directory.size()] == '/';
}

// errno for what can be no log.
int refusal(mode_t mode) {
  if (S_ISREG(mode)) return 0;
  return S_ISLNK(mode) ? ELOOP : S_ISDIR(mode) ? EISDIR : EINVAL;
}

// The very file that was looked at, whatever has its name by now.
Fd append_to(const Fd& found) {
  const std::string path = "/proc/self/fd/" + std::to_string(found.get());
  return Fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
}

}  // namespace

Failure open_log(const LogPath& log, Fd* fd) {
  constexpr uint64_t kNew = O_WRONLY | O_APPEND | O_CREAT | O_EXCL;
  Fd directory;
  std::string name = log.path, within = log.within;
  while (!within.empty() && within.back() == '/') within.pop_back();
  uint64_t resolve = 0;
  if (!within.empty()) {
    if (!starts_with_directory(log.path, within)) return Failure{EINVAL, kStep, log.path};
    directory = Fd(open(within.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!directory) return system_failure(kStep, within);
    name = log.path.substr(within.size() + 1);
    resolve = sys::kResolveBeneath | sys::kResolveNoSymlinks;
  }
  const int base = directory ? directory.get() : AT_FDCWD;
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    const Fd found(sys::openat2(base, name.c_str(), O_PATH | O_NOFOLLOW, 0, resolve));
    struct stat status = {};
    if (found && fstat(found.get(), &status) == 0) {
      const int code = refusal(status.st_mode);
      if (code != 0) return Failure{code, kStep, log.path};
      *fd = append_to(found);
      return *fd ? Failure{} : system_failure(kStep, log.path);
    }
    if (errno != ENOENT) return system_failure(kStep, log.path);
    *fd = Fd(sys::openat2(base, name.c_str(), kNew | O_NOFOLLOW, 0640, resolve));
    if (*fd) return {};
    if (errno != EEXIST) return system_failure(kStep, log.path);
  }
  return Failure{EAGAIN, kStep, log.path};
}

}  // namespace coracle
