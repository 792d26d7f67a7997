// coracle-monitor <podId>: the supervisor of one pod. Descriptor 3 is a listening SOCK_SEQPACKET
// socket; native/plan/protocol.h says what is spoken there.
//
// Exit status: 0 after a shutdown; 64 for a wrong call; 71 where the kernel refuses epoll.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "native/monitor/monitor.h"
#include "native/monitor/process_title.h"
#include "native/monitor/protect.h"
#include "native/sys/failpoint.h"

namespace {

constexpr int kListener = 3;

bool is_listener(int fd) {
  int listening = 0;
  socklen_t size = sizeof(listening);
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening == 1;
}

coracle::Monitor monitor;

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 || !is_listener(kListener)) {
    dprintf(2, "usage: coracle-monitor POD, with a listening socket as descriptor 3\n");
    return 64;
  }
  coracle::sys::arm_failpoints(getenv("CORACLE_FAILPOINTS"));
  coracle::keep_process_title(argc, argv);
  coracle::set_process_name("coracle-monitor");
  coracle::protect_process();
  fcntl(kListener, F_SETFD, FD_CLOEXEC);
  fcntl(kListener, F_SETFL, fcntl(kListener, F_GETFL) | O_NONBLOCK);
  if (!coracle::open_monitor(monitor, kListener, argv[1])) return 71;
  coracle::run(monitor);
  return 0;
}
