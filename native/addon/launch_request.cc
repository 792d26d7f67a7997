#include "native/addon/launch_request.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/plan/protocol.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

// Adds a descriptor to the message and returns its place.
FdIndex add(LaunchRequest& request, Fd fd) {
  request.fds.push_back(std::move(fd));
  return static_cast<FdIndex>(request.fds.size() - 1);
}

Failure open_path(const std::string& path, int flags, const char* step, Fd* fd) {
  *fd = Fd(open(path.c_str(), flags | O_CLOEXEC));
  return *fd ? Failure{} : system_failure(step, path);
}

Failure open_host_path(const HostPath& host, Fd* fd) {
  if (host.kind == HostPath::Kind::kTasksFile) {
    return open_path(host.path, O_WRONLY, "open cgroup", fd);
  }
  return open_mount_tree(host.path, host.kind == HostPath::Kind::kRecursiveTree, fd);
}

Failure open_host_paths(LaunchRequest& request, std::vector<uint8_t>& steps) {
  for (const HostPath& host : request.plan->host_paths) {
    Fd fd;
    Failure failure = open_host_path(host, &fd);
    if (failure.failed()) return failure;
    if (host.kind_offset != HostPath::kNoOffset) {
      struct stat status = {};
      if (fstat(fd.get(), &status) != 0) return system_failure("stat mount source", host.path);
      const TargetKind kind = S_ISDIR(status.st_mode) ? TargetKind::kDirectory : TargetKind::kFile;
      Writer(steps.data() + host.kind_offset, sizeof(kind))(kind);
    }
    const FdIndex index = add(request, std::move(fd));
    Writer(steps.data() + host.index_offset, sizeof(index))(index);
  }
  return {};
}

// The places of cgroups that the monitor has, behind those of the message.
void name_known_cgroups(const LaunchRequest& request, std::vector<uint8_t>& steps) {
  size_t place = request.fds.size();
  for (const HostPath& host : request.plan->host_paths) {
    const FdIndex index = static_cast<FdIndex>(place++);
    Writer(steps.data() + host.index_offset, sizeof(index))(index);
  }
}

Failure open_cgroups(LaunchRequest& request, LaunchPlan& header) {
  const EncodedPlan& plan = *request.plan;
  Fd fd;
  if (!plan.into_cgroup.empty()) {
    Failure failure = open_path(plan.into_cgroup, O_PATH | O_DIRECTORY, "open cgroup", &fd);
    if (failure.failed()) return failure;
    header.into_cgroup = add(request, std::move(fd));
  }
  if (!plan.kill_cgroup.empty()) {
    const int flags = plan.kill_is_list ? O_RDONLY : O_WRONLY;
    Failure failure = open_path(plan.kill_cgroup, flags, "open cgroup", &fd);
    if (failure.failed()) return failure;
    header.kill_cgroup = add(request, std::move(fd));
  }
  return {};
}

Failure open_stdio(LaunchRequest& request, size_t number, Stdio* out) {
  StdioRequest& stdio = request.stdio[number];
  if (stdio.type == StdioRequest::Type::kFd) {
    *out = Stdio{StdioMode::kFd, add(request, std::move(stdio.fd))};
  } else if (stdio.type == StdioRequest::Type::kLog) {
    *out = Stdio{StdioMode::kLog, kNoFd};
  } else if (stdio.type == StdioRequest::Type::kPipe) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return system_failure("make stdio pipe");
    Fd theirs(ends[number == 0 ? 0 : 1]), ours(ends[number == 0 ? 1 : 0]);
    if (fcntl(ours.get(), F_SETFL, O_NONBLOCK) != 0) return system_failure("make stdio pipe");
    request.pipes[number] = std::move(ours);
    *out = Stdio{StdioMode::kFd, add(request, std::move(theirs))};
  }
  return {};
}

Failure open_logs(LaunchRequest& request, Log& log) {
  log.mode = request.log_mode;
  log.max_line = request.max_line;
  if (request.log_mode == LogMode::kCri && !request.embryo) {
    Fd fd;
    Failure failure = open_log(request.log, &fd);
    if (failure.failed()) return failure;
    log.stdout_fd = add(request, std::move(fd));
  } else if (request.log_mode == LogMode::kRaw) {
    if (request.raw_stdout) log.stdout_fd = add(request, std::move(request.raw_stdout));
    if (request.raw_stderr) log.stderr_fd = add(request, std::move(request.raw_stderr));
  }
  return {};
}

}  // namespace

Failure open_mount_tree(const std::string& path, bool recursive, Fd* tree) {
  const unsigned flags = sys::kOpenTreeClone | (recursive ? sys::kAtRecursive : 0);
  *tree = Fd(sys::open_tree(AT_FDCWD, path.c_str(), flags));
  return *tree ? Failure{} : system_failure("open mount source", path);
}

Failure open_launch(LaunchRequest& request) {
  const EncodedPlan& plan = *request.plan;
  // Stdio and log take five places at most; the memfd of a long body goes first.
  if (plan.fd_count() + 6 > kMaxFds) {
    return Failure{0,
                   "a launch may use at most " + std::to_string(kMaxFds - 6) +
                       " bind mounts and cgroups, not " + std::to_string(plan.fd_count()),
                   {}};
  }
  std::vector<uint8_t> steps = request.argv.empty() ? plan.steps : steps_with(plan, request.argv);
  LaunchPlan header;
  header.id = to_str(request.id.empty() ? plan.id : request.id);
  header.parent = to_str(plan.parent);
  header.clone_flags = plan.clone_flags;
  header.pid_mode = plan.pid_mode;
  header.flags = plan.flags;
  if (request.start_at_once) header.flags |= kStartAtOnce;
  header.flags |= request.attach_flags;
  header.step_count = plan.step_count;

  // First: what takes the place of a source meanwhile counts as another one, and not as this.
  if (request.embryo) request.sources = identify_sources(plan);
  Failure failure;
  if (!request.cgroups_are_known) failure = open_host_paths(request, steps);
  if (!failure.failed()) failure = open_cgroups(request, header);
  if (!failure.failed()) failure = open_stdio(request, 0, &header.stdin_);
  if (!failure.failed()) failure = open_stdio(request, 1, &header.stdout_);
  if (!failure.failed()) failure = open_stdio(request, 2, &header.stderr_);
  if (!failure.failed()) failure = open_logs(request, header.log);
  if (failure.failed()) return failure;

  if (request.cgroups_are_known) name_known_cgroups(request, steps);
  header.steps = to_bytes(steps);
  request.body = encode_bytes(header);
  return {};
}

Failure open_start(EmbryoStart& start) {
  Failure failure = check_sources(*start.plan, start.sources);
  if (failure.failed() || !start.has_log) return failure;
  Fd log;
  failure = open_log(start.log, &log);
  if (!failure.failed()) start.fds.push_back(std::move(log));
  return failure;
}

}  // namespace coracle
