#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "native/monitor/pod.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr size_t kMaxPath = 256;

// "net.ipv4.ip_forward" → "sys/net/ipv4/ip_forward". As in sysctl.d(5), a name whose first
// separator is a slash is a path already, and its dots belong to names ("net/ipv4/conf/eth0.1").
bool to_path(const Str& name, char path[kMaxPath]) {
  if (name.empty() || name.size + 5 > kMaxPath) return false;
  memcpy(path, "sys/", 4);
  memcpy(path + 4, name.data, name.size + 1);
  char* at = path + 4;
  const char* first = strpbrk(at, "./");
  if (first != nullptr && *first == '.') {
    for (; *at != 0; ++at) *at = *at == '.' ? '/' : *at == '/' ? '.' : *at;
  }
  return true;
}

}  // namespace

Error write_sysctl(int proc_fd, const Str& name, const Str& value) {
  char path[kMaxPath];
  if (!to_path(name, path)) return Error{EINVAL, "set sysctl", name.data};
  const Fd file(
      sys::openat2(proc_fd, path, O_WRONLY, 0, sys::kResolveBeneath | sys::kResolveNoSymlinks));
  if (!file) return failed("set sysctl", name.data);
  const ssize_t written = write(file.get(), value.data, value.size);
  return written == static_cast<ssize_t>(value.size) ? Error{} : failed("set sysctl", name.data);
}

Error write_sysctls(int proc_fd, uint16_t count, Bytes sysctls) {
  Reader reader(sysctls.data, sysctls.size);
  for (uint16_t place = 0; place < count; ++place) {
    Str name, value;
    reader(name), reader(value);
    if (!reader.ok()) return Error{EINVAL, "decode sysctls", ""};
    const Error error = write_sysctl(proc_fd, name, value);
    if (!error.ok()) return error;
  }
  return reader.done() ? Error{} : Error{EINVAL, "decode sysctls", ""};
}

}  // namespace coracle
