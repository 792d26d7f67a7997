// A command in a running container, from the call to its end, in one request.
#ifndef CORACLE_NATIVE_ADDON_RUN_REQUEST_H_
#define CORACLE_NATIVE_ADDON_RUN_REQUEST_H_

#include <uv.h>

#include "native/addon/launch_request.h"
#include "native/addon/run_output.h"

namespace coracle {

// Loop thread only.
struct RunRequest {
  explicit RunRequest(size_t max_output) : output(max_output), errors(max_output) {}
  ~RunRequest();
  RunRequest(const RunRequest&) = delete;
  RunRequest& operator=(const RunRequest&) = delete;

  // Opens what the run needs, and encodes its body. The plan may name files of cgroups only, which
  // the monitor has: nothing waits for a disk, so that the loop may do it, for less than asking a
  // worker costs. Fails with EINVAL for other plans.
  Failure open();
  // From a few milliseconds on, reads what is written. Most probes have ended by then: what they
  // wrote fits into the pipes, and nothing was spent on watching them.
  void watch(uv_loop_t* loop);

  LaunchRequest launch;
  RunOutput output, errors;

 private:
  uv_timer_t* timer_ = nullptr;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_RUN_REQUEST_H_
