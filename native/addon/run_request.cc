#include "native/addon/run_request.h"

#include <errno.h>

#include <utility>

namespace coracle {

Failure open_run(RunRequest& run) {
  LaunchRequest& launch = run.launch;
  for (const HostPath& host : launch.plan->host_paths) {
    if (host.kind != HostPath::Kind::kTasksFile) return Failure{EINVAL, "run", host.path};
  }
  Fd output, errors;
  Failure failure = run.output.open(&output);
  if (!failure.failed()) failure = run.errors.open(&errors);
  if (failure.failed()) return failure;
  launch.stdio[1] = StdioRequest{StdioRequest::Type::kFd, std::move(output)};
  launch.stdio[2] = StdioRequest{StdioRequest::Type::kFd, std::move(errors)};
  launch.start_at_once = true;
  return open_launch(launch);
}

}  // namespace coracle
