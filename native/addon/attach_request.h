// What an attach sends: the monitor's ends of fresh pipes.
#ifndef CORACLE_NATIVE_ADDON_ATTACH_REQUEST_H_
#define CORACLE_NATIVE_ADDON_ATTACH_REQUEST_H_

#include <stdint.h>

#include <string>
#include <vector>

#include "native/addon/failure.h"
#include "native/sys/fd.h"

namespace coracle {

struct AttachMessage {
  std::vector<uint8_t> body;
  std::vector<Fd> fds;  // in the order of the message
  Fd output, input;     // our ends, not blocking; no `input` where none was asked for
};

// `flags` are AttachFlags. On failure everything opened is closed with `message`.
Failure open_attach(const std::string& id, uint32_t flags, bool input, AttachMessage* message);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_ATTACH_REQUEST_H_
