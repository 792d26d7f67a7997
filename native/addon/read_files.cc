#include "native/addon/read_files.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <array>

#include "native/sys/fd.h"

namespace coracle {
namespace {

// Whatever a cgroup tells of itself fits in one read; a list of processes may need more of them.
using Block = std::array<char, 16 * 1024>;

std::optional<std::string> read_file(const std::string& path, Block& block) {
  const Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return std::nullopt;
  std::string text;
  while (true) {
    const ssize_t count = read(file.get(), block.data(), block.size());
    if (count < 0 && errno == EINTR) continue;
    // ESRCH and ENODEV: the process, or the cgroup, ended after the file was opened.
    if (count < 0) return std::nullopt;
    if (count == 0) return text;
    if (text.size() + static_cast<size_t>(count) > kMaxFileText) return std::nullopt;
    text.append(block.data(), static_cast<size_t>(count));
  }
}

}  // namespace

uint64_t monotonic_ns() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

FileContents read_files(const std::vector<std::string>& paths) {
  FileContents contents;
  contents.texts.reserve(paths.size());
  Block block;
  const uint64_t began = monotonic_ns();
  for (const std::string& path : paths) contents.texts.push_back(read_file(path, block));
  contents.read_at = began + (monotonic_ns() - began) / 2;
  return contents;
}

}  // namespace coracle
