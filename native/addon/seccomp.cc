#include "native/addon/seccomp.h"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <mutex>
#include <string_view>

#include "native/addon/bpf_ranges.h"
#include "native/sys/fd.h"

namespace coracle {
namespace {

constexpr const char* kStep = "compile seccomp profile";

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

// libseccomp returns -errno.
Failure library_failure(int result, const std::string& about) {
  return Failure{-result, kStep, about};
}

bool parse_action(const std::string& name, unsigned errno_ret, uint32_t* action) {
  const std::pair<std::string_view, uint32_t> actions[] = {
      {"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
      {"SCMP_ACT_ERRNO", SCMP_ACT_ERRNO(errno_ret)},
      {"SCMP_ACT_KILL", SCMP_ACT_KILL_THREAD},
      {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
      {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
      {"SCMP_ACT_LOG", SCMP_ACT_LOG},
      {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
      {"SCMP_ACT_TRACE", SCMP_ACT_TRACE(errno_ret)},
  };
  for (const auto& [known, value] : actions) {
    if (name == known) {
      *action = value;
      return true;
    }
  }
  return false;
}

bool parse_operator(const std::string& name, scmp_compare* op) {
  constexpr std::pair<std::string_view, scmp_compare> kOperators[] = {
      {"SCMP_CMP_NE", SCMP_CMP_NE},
      {"SCMP_CMP_LT", SCMP_CMP_LT},
      {"SCMP_CMP_LE", SCMP_CMP_LE},
      {"SCMP_CMP_EQ", SCMP_CMP_EQ},
      {"SCMP_CMP_GE", SCMP_CMP_GE},
      {"SCMP_CMP_GT", SCMP_CMP_GT},
      {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ},
  };
  for (const auto& [known, value] : kOperators) {
    if (name == known) {
      *op = value;
      return true;
    }
  }
  return false;
}

Failure add_architecture(scmp_filter_ctx filter, const std::string& name) {
  constexpr std::string_view kPrefix = "SCMP_ARCH_";
  uint32_t arch = 0;
  if (name.starts_with(kPrefix)) {
    std::string lower = name.substr(kPrefix.size());
    for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    arch = seccomp_arch_resolve_name(lower.c_str());
  }
  if (arch == 0) return Failure{EINVAL, kStep, "architecture " + name};
  const int result = seccomp_arch_add(filter, arch);
  return result == 0 || result == -EEXIST ? Failure{} : library_failure(result, name);
}

// MASKED_EQ compares (argument & value) with value_two; the others use `value` alone.
Failure parse_args(const SeccompRule& rule, std::vector<scmp_arg_cmp>* out) {
  for (const SeccompArg& arg : rule.args) {
    scmp_compare op;
    if (!parse_operator(arg.op, &op)) return Failure{EINVAL, kStep, "operator " + arg.op};
    if (arg.index > 5) {
      return Failure{EINVAL, kStep, "argument index " + std::to_string(arg.index)};
    }
    out->push_back(scmp_arg_cmp{arg.index, op, arg.value, arg.value_two});
  }
  return {};
}

bool compares_twice(const std::vector<scmp_arg_cmp>& args) {
  std::array<int, 6> seen = {};
  for (const scmp_arg_cmp& arg : args) {
    if (++seen[arg.arg] > 1) return true;
  }
  return false;
}

int add_rule(scmp_filter_ctx filter, uint32_t action, int number, const scmp_arg_cmp* args,
             size_t count) {
  const int result =
      seccomp_rule_add_array(filter, action, number, static_cast<unsigned>(count), args);
  // EEXIST: given before. EACCES: the action is the default's. EDOM: not a call of any of the
  // filter's architectures.
  return result == -EEXIST || result == -EACCES || result == -EDOM ? 0 : result;
}

Failure add_rules(scmp_filter_ctx filter, const SeccompRule& rule, uint32_t default_action) {
  uint32_t action = 0;
  if (!parse_action(rule.action, rule.errno_ret, &action)) {
    return Failure{EINVAL, kStep, "action " + rule.action};
  }
  std::vector<scmp_arg_cmp> args;
  Failure failure = parse_args(rule, &args);
  if (failure.failed() || action == default_action) return failure;
  // libseccomp takes one comparison an argument in one rule.
  const bool split = compares_twice(args);
  for (const std::string& name : rule.names) {
    const int number = seccomp_syscall_resolve_name(name.c_str());
    if (number == __NR_SCMP_ERROR) continue;
    int result = 0;
    if (!split) result = add_rule(filter, action, number, args.data(), args.size());
    for (size_t i = 0; split && i < args.size() && result == 0; i++) {
      result = add_rule(filter, action, number, &args[i], 1);
    }
    if (result != 0) return library_failure(result, name);
  }
  return {};
}

Failure export_program(scmp_filter_ctx filter, std::vector<uint8_t>* program) {
  Fd memfd(memfd_create("seccomp", MFD_CLOEXEC));
  if (!memfd) return system_failure(kStep);
  const int result = seccomp_export_bpf(filter, memfd.get());
  if (result != 0) return library_failure(result, {});
  struct stat status = {};
  if (fstat(memfd.get(), &status) != 0) return system_failure(kStep);
  std::vector<sock_filter> compiled(static_cast<size_t>(status.st_size) / sizeof(sock_filter));
  const ssize_t count =
      pread(memfd.get(), compiled.data(), compiled.size() * sizeof(sock_filter), 0);
  if (count != status.st_size) return system_failure(kStep);
  const std::vector<sock_filter> shorter = by_ranges(compiled);
  const auto* bytes = reinterpret_cast<const uint8_t*>(shorter.data());
  program->assign(bytes, bytes + shorter.size() * sizeof(sock_filter));
  return {};
}

}  // namespace

Failure compile_seccomp(const SeccompProfile& profile, std::vector<uint8_t>* program) {
  // libseccomp probes the kernel once and keeps what it finds in unguarded variables; workers of
  // several environments come here at the same time.
  static std::once_flag probed;
  std::call_once(probed, [] { seccomp_api_get(); });

  uint32_t default_action = 0;
  if (!parse_action(profile.default_action, profile.default_errno_ret, &default_action)) {
    return Failure{EINVAL, kStep, "action " + profile.default_action};
  }
  Filter filter(seccomp_init(default_action));
  if (filter == nullptr) return Failure{EINVAL, kStep, profile.default_action};
  // The child sets no_new_privs itself where the plan says so.
  int result = seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_NNP, 0);
  if (result != 0) return library_failure(result, {});
  // A binary tree instead of a list: loads three times as fast. libseccomp before 2.5 has none.
  seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  for (const std::string& name : profile.architectures) {
    Failure failure = add_architecture(filter.get(), name);
    if (failure.failed()) return failure;
  }
  for (const SeccompRule& rule : profile.syscalls) {
    Failure failure = add_rules(filter.get(), rule, default_action);
    if (failure.failed()) return failure;
  }
  return export_program(filter.get(), program);
}

}  // namespace coracle
