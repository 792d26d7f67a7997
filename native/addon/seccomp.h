// Compiles an OCI seccomp section with libseccomp.
#ifndef CORACLE_NATIVE_ADDON_SECCOMP_H_
#define CORACLE_NATIVE_ADDON_SECCOMP_H_

#include <stdint.h>

#include <string>
#include <vector>

#include "native/addon/failure.h"

namespace coracle {

struct SeccompArg {
  unsigned index = 0;
  uint64_t value = 0, value_two = 0;
  std::string op;  // "SCMP_CMP_EQ"
};

struct SeccompRule {
  std::vector<std::string> names;
  std::string action;      // "SCMP_ACT_ALLOW"
  unsigned errno_ret = 1;  // EPERM
  std::vector<SeccompArg> args;
};

struct SeccompProfile {
  std::string default_action;
  unsigned default_errno_ret = 1;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64"; the native one is always in
  std::vector<SeccompRule> syscalls;
};

// Fills `program` with an array of struct sock_filter. System calls that libseccomp does not know
// are skipped: profiles name more than any one kernel has. Rules whose action is the default are
// redundant and skipped, and a rule given twice counts once, as in other runtimes. Several
// comparisons of the same argument in one rule are alternatives. An unknown action,
// architecture or operator is a failure that names it, errno EINVAL. Takes milliseconds.
Failure compile_seccomp(const SeccompProfile& profile, std::vector<uint8_t>* program);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_SECCOMP_H_
