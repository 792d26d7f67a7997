// Datagrams that carry descriptors, as tests and fuzzers send them: also more, and others, than the
// product ever does.
#ifndef CORACLE_TEST_NATIVE_SEND_WITH_FDS_H_
#define CORACLE_TEST_NATIVE_SEND_WITH_FDS_H_

#include <string.h>
#include <sys/socket.h>

#include <vector>

namespace coracle::test {

// sendmsg(2) of `parts` as one datagram with `fds` (SCM_RIGHTS of unix(7)); returns what it does.
inline ssize_t send_with_fds(int socket, std::vector<iovec> parts, const std::vector<int>& fds,
                             int flags) {
  const size_t bytes = sizeof(int) * fds.size();
  std::vector<char> control(CMSG_SPACE(bytes));
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  if (!fds.empty()) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(bytes);
    memcpy(CMSG_DATA(rights), fds.data(), bytes);
  }
  return sendmsg(socket, &header, flags);
}

}  // namespace coracle::test

#endif  // CORACLE_TEST_NATIVE_SEND_WITH_FDS_H_
