#include "native/addon/run_request.h"

#include <errno.h>

#include <utility>

namespace coracle {
namespace {

// A command that fills a pipe sooner stands still until then.
constexpr uint64_t kUnwatchedMs = 5;

}  // namespace

RunRequest::~RunRequest() {
  if (timer_ == nullptr) return;
  uv_close(reinterpret_cast<uv_handle_t*>(timer_),
           [](uv_handle_t* timer) { delete reinterpret_cast<uv_timer_t*>(timer); });
}

Failure RunRequest::open() {
  for (const HostPath& host : launch.plan->host_paths) {
    if (host.kind != HostPath::Kind::kTasksFile) return Failure{EINVAL, "run", host.path};
  }
  Fd output_end, errors_end;
  Failure failure = output.open(&output_end);
  if (!failure.failed()) failure = errors.open(&errors_end);
  if (failure.failed()) return failure;
  launch.stdio[1] = StdioRequest{StdioRequest::Type::kFd, std::move(output_end)};
  launch.stdio[2] = StdioRequest{StdioRequest::Type::kFd, std::move(errors_end)};
  launch.start_at_once = true;
  launch.cgroups_are_known = true;
  return open_launch(launch);
}

void RunRequest::watch(uv_loop_t* loop) {
  timer_ = new uv_timer_t;
  uv_timer_init(loop, timer_);
  timer_->data = this;
  const auto start = [](uv_timer_t* timer) {
    RunRequest* run = static_cast<RunRequest*>(timer->data);
    run->output.watch(timer->loop);
    run->errors.watch(timer->loop);
  };
  uv_timer_start(timer_, start, kUnwatchedMs, 0);
  uv_unref(reinterpret_cast<uv_handle_t*>(timer_));
}

}  // namespace coracle
