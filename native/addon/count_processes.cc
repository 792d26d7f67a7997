#include "native/addon/count_processes.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "native/addon/read_files.h"
#include "native/sys/fd.h"

namespace coracle {
namespace {

// cgroups(7) lets a container make cgroups below its own, as deep as it likes.
constexpr int kMaxDepth = 32;

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};
using Dir = std::unique_ptr<DIR, CloseDir>;

bool is_dot(const char* name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

uint64_t lines(const std::string& text) {
  return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

// Adds the open descriptors of one process; false where they may not be seen. A process that has
// ended has none.
bool add_descriptors(const std::string& pid, ProcessCounts* counts) {
  const Dir dir(opendir(("/proc/" + pid + "/fd").c_str()));
  if (!dir) return errno == ENOENT || errno == ESRCH;
  char target[sizeof "socket:"];
  while (true) {
    errno = 0;
    const dirent* entry = readdir(dir.get());
    if (entry == nullptr) return errno == 0 || errno == ENOENT || errno == ESRCH;
    if (is_dot(entry->d_name)) continue;
    ++*counts->descriptors;
    const ssize_t length = readlinkat(dirfd(dir.get()), entry->d_name, target, sizeof target);
    if (length >= 7 && memcmp(target, "socket:", 7) == 0) ++*counts->sockets;
  }
}

bool add_all_descriptors(const std::string& pids, ProcessCounts* counts) {
  for (size_t begin = 0; begin < pids.size();) {
    const size_t end = std::min(pids.find('\n', begin), pids.size());
    if (!add_descriptors(pids.substr(begin, end - begin), counts)) return false;
    begin = end + 1;
  }
  return true;
}

// Adds a cgroup and those below it; false where this one is gone.
bool add_cgroup(const std::string& path, int depth, ProcessCounts* counts) {
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) return false;
  // v2 has cgroup.threads for what v1 calls tasks.
  const FileContents files =
      read_files({path + "/cgroup.procs", path + "/tasks", path + "/cgroup.threads"});
  const std::string pids = files.texts[0].value_or("");
  const uint64_t processes = lines(pids);
  const uint64_t threads = lines(files.texts[1].value_or(files.texts[2].value_or("")));
  counts->processes += processes;
  // A threaded cgroup of v2 does not list its processes, nor a domain of such its threads.
  counts->threads += std::max(threads, processes);
  if (counts->descriptors && !add_all_descriptors(pids, counts)) {
    counts->descriptors.reset();
    counts->sockets.reset();
  }
  // cgroupfs counts its directories as links; a cgroup without any below has two.
  if (status.st_nlink <= 2 || depth == kMaxDepth) return true;
  const Dir dir(opendir(path.c_str()));
  while (const dirent* entry = dir ? readdir(dir.get()) : nullptr) {
    if (entry->d_type != DT_DIR || is_dot(entry->d_name)) continue;
    add_cgroup(path + "/" + entry->d_name, depth + 1, counts);
  }
  return true;
}

}  // namespace

std::vector<std::optional<ProcessCounts>> count_processes(const CountRequest& request) {
  std::vector<std::optional<ProcessCounts>> all;
  all.reserve(request.cgroups.size());
  for (const std::string& path : request.cgroups) {
    ProcessCounts counts;
    if (request.descriptors) counts.descriptors = counts.sockets = 0;
    const bool there = add_cgroup(path, 0, &counts);
    all.push_back(there ? std::optional(counts) : std::nullopt);
  }
  return all;
}

}  // namespace coracle
