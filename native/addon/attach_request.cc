#include "native/addon/attach_request.h"

#include <fcntl.h>
#include <unistd.h>

#include "native/addon/plan_builder.h"
#include "native/plan/protocol.h"

namespace coracle {
namespace {

// Hands one end of a pipe to the message, which one `theirs` says: 0 reads, 1 writes.
Failure add_pipe(AttachMessage& message, int theirs, Fd* ours, int16_t* index) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return system_failure("make attach pipe");
  *index = static_cast<int16_t>(message.fds.size());
  message.fds.emplace_back(ends[theirs]);
  ours->reset(ends[1 - theirs]);
  if (fcntl(ours->get(), F_SETFL, O_NONBLOCK) != 0) return system_failure("make attach pipe");
  return {};
}

}  // namespace

Failure open_attach(const std::string& id, uint32_t flags, bool input, AttachMessage* message) {
  AttachRequest request{to_str(id)};
  request.flags = flags;
  Failure failure = add_pipe(*message, 1, &message->output, &request.output_fd);
  if (!failure.failed() && input) {
    failure = add_pipe(*message, 0, &message->input, &request.input_fd);
  }
  if (!failure.failed()) message->body = encode_bytes(request);
  return failure;
}

}  // namespace coracle
