// A command in a running container, from the call to its end, in one request.
#ifndef CORACLE_NATIVE_ADDON_RUN_REQUEST_H_
#define CORACLE_NATIVE_ADDON_RUN_REQUEST_H_

#include "native/addon/launch_request.h"
#include "native/addon/run_output.h"

namespace coracle {

struct RunRequest {
  explicit RunRequest(size_t max_output) : output(max_output), errors(max_output) {}

  LaunchRequest launch;
  RunOutput output, errors;
};

// Opens what the run needs, and encodes its body. The plan may name files of cgroups only: opening
// those never waits for a disk, so that the loop may do it, for less than asking a worker costs.
// Fails with EINVAL for other plans.
Failure open_run(RunRequest& run);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_RUN_REQUEST_H_
