// Reads many small files at once: those of cgroupfs and procfs, which the kernel writes as they
// are read.
#ifndef CORACLE_NATIVE_ADDON_READ_FILES_H_
#define CORACLE_NATIVE_ADDON_READ_FILES_H_

#include <stdint.h>

#include <optional>
#include <string>
#include <vector>

namespace coracle {

struct FileContents {
  // CLOCK_MONOTONIC in ns, halfway through the batch.
  uint64_t read_at = 0;
  // In the order of the paths; none where a file is missing, can't be read or is too long.
  std::vector<std::optional<std::string>> texts;
};

// The longest file that is read, bytes: a list of 150,000 processes.
inline constexpr size_t kMaxFileText = 1 << 20;

// Blocks for some 15 µs a file, and longer where the kernel adds up what it tells: for a worker
// thread. Opens one file at a time. Nothing here can fail but a file by itself.
FileContents read_files(const std::vector<std::string>& paths);

// CLOCK_MONOTONIC in ns, as process.hrtime.bigint() of Node.js.
uint64_t monotonic_ns();

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_READ_FILES_H_
