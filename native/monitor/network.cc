#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "native/monitor/pod.h"

namespace coracle {

Error raise_loopback() {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket) return failed("open socket", "lo");
  ifreq request{};
  memcpy(request.ifr_name, "lo", 3);
  if (ioctl(socket.get(), SIOCGIFFLAGS, &request) != 0) return failed("read interface", "lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (ioctl(socket.get(), SIOCSIFFLAGS, &request) != 0) return failed("set interface up", "lo");
  return {};
}

}  // namespace coracle
