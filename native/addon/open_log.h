// Opens the log file of a container, in a directory that may not be the server's alone.
#ifndef CORACLE_NATIVE_ADDON_OPEN_LOG_H_
#define CORACLE_NATIVE_ADDON_OPEN_LOG_H_

#include <string>

#include "native/addon/failure.h"
#include "native/sys/fd.h"

namespace coracle {

struct LogPath {
  std::string path;
  // A directory that `path` begins with, empty for none. No symbolic link is followed after it,
  // and it is none itself: containers that collect the host's logs may write there.
  std::string within;
};

// Opens a log for appending, created with mode 0640. What is there must be a regular file: a link
// is refused, and a device or a FIFO is not even opened, since that alone may do something. May
// block on slow file systems: never on the loop.
Failure open_log(const LogPath& log, Fd* fd);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_OPEN_LOG_H_
