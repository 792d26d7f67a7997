// Sysctl, OomScoreAdj, LsmProfile: writes to procfs.
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "native/launch/child.h"
#include "native/plan/protocol.h"
#include "native/sys/fd.h"
#include "native/sys/syscalls.h"

namespace coracle {
namespace {

constexpr long kProcFs = 0x9fa0;  // PROC_SUPER_MAGIC of <linux/magic.h>

// Opens a file of the monitor's private procfs for writing. Never through the container's /proc:
// what is mounted there is the plan's and the image's business, and a write that is redirected to
// another file of procfs reaches the host.
Fd open_proc(const Child& child, const char* path) {
  Fd file(sys::openat2(child.context->proc_fd, path, O_WRONLY, 0,
                       sys::kResolveBeneath | sys::kResolveNoXdev | sys::kResolveNoMagiclinks));
  struct statfs fs;
  if (!file || fstatfs(file.get(), &fs) != 0) return Fd();
  if (static_cast<long>(fs.f_type) == kProcFs) return file;
  errno = EXDEV;
  return Fd();
}

// sysctl(8): the first separator says which of '.' and '/' separates; the other one is a part of
// a name, as in "net/ipv4/conf/eth0.100/forwarding" or "net.ipv4.conf.eth0/100.forwarding".
bool sysctl_path(const Str& name, char* out, size_t capacity) {
  constexpr char kPrefix[] = "sys/";
  constexpr size_t kPrefixSize = sizeof(kPrefix) - 1;
  if (kPrefixSize + name.size >= capacity) return false;
  memcpy(out, kPrefix, kPrefixSize);
  const char* first = strpbrk(name.data, "./");
  bool dots = first != nullptr && *first == '.';
  for (uint32_t i = 0; i <= name.size; ++i) {
    char c = name.data[i];
    if (dots && c == '.') {
      c = '/';
    } else if (dots && c == '/') {
      c = '.';
    }
    out[kPrefixSize + i] = c;
  }
  return true;
}

// "self/attr/apparmor/exec" (Linux 5.8), else the attribute that all modules share.
Fd open_exec_attribute(const Child& child, const Str& module) {
  constexpr char kAttributes[] = "self/attr/";
  constexpr char kName[] = "/exec";
  char path[sizeof(kAttributes) + kMaxModule + sizeof(kName)];
  char* end = stpcpy(path, kAttributes);
  memcpy(end, module.data, module.size);
  memcpy(end + module.size, kName, sizeof(kName));
  Fd file = open_proc(child, path);
  return file || errno != ENOENT ? static_cast<Fd&&>(file) : open_proc(child, "self/attr/exec");
}

bool write_number(const Child& child, const char* path, int value) {
  Fd file = open_proc(child, path);
  if (!file) return false;
  char text[16];
  char* end = text + sizeof(text);
  char* begin = end;
  unsigned rest = value < 0 ? 0u - static_cast<unsigned>(value) : static_cast<unsigned>(value);
  do {
    *--begin = static_cast<char>('0' + rest % 10);
    rest /= 10;
  } while (rest != 0);
  if (value < 0) *--begin = '-';
  return write(file.get(), begin, static_cast<size_t>(end - begin)) == end - begin;
}

}  // namespace

Error run(const Sysctl& step, Child& child) {
  char path[300];
  if (!sysctl_path(step.name, path, sizeof(path))) {
    return Error{ENAMETOOLONG, "set sysctl", step.name.data};
  }
  Fd file = open_proc(child, path);
  if (!file) return failed("set sysctl", step.name.data);
  ssize_t written = write(file.get(), step.value.data, step.value.size);
  if (written < 0) return failed("set sysctl", step.name.data);
  if (static_cast<size_t>(written) != step.value.size) {
    return Error{EIO, "set sysctl", step.name.data};
  }
  return {};
}

Error run(const OomScoreAdj& step, Child& child) {
  constexpr char kPath[] = "self/oom_score_adj";
  if (write_number(child, kPath, step.value)) return {};
  if (errno != EACCES && errno != EPERM) return failed("set oom_score_adj");
  // Without CAP_SYS_RESOURCE nothing goes below the lowest value a privileged writer has set,
  // which is 0 for most. A value of the monitor below that is kept where even 0 is refused.
  child.report.warnings |= kOomScoreClamped;
  if (step.value < 0) (void)write_number(child, kPath, 0);
  return {};
}

Error run(const LsmProfile& step, Child& child) {
  Fd file = open_exec_attribute(child, step.module);
  const ssize_t size = static_cast<ssize_t>(step.value.size);
  if (file && write(file.get(), step.value.data, step.value.size) == size) return {};
  return failed("set security profile", step.value.data);
}

}  // namespace coracle
