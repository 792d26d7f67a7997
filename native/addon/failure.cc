#include "native/addon/failure.h"

#include <ctype.h>
#include <string.h>

namespace coracle {

std::string error_text(int code) {
  char buffer[128];
  std::string text = strerror_r(code, buffer, sizeof(buffer));
  // "RPC struct is bad" keeps its capitals.
  if (text.size() > 1 && islower(static_cast<unsigned char>(text[1]))) {
    text[0] = static_cast<char>(tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

std::string error_name(int code) {
  const char* name = code == 0 ? nullptr : strerrorname_np(code);
  return name == nullptr ? "" : name;
}

std::string describe(const Failure& failure) {
  std::string message = failure.step;
  if (!failure.path.empty()) message += " " + failure.path;
  if (failure.code != 0) message += ": " + error_text(failure.code);
  return message;
}

}  // namespace coracle
