// Programs by ranges against the programs that they are made of, by a filter machine of its own.
#include "native/addon/bpf_ranges.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "doctest/doctest.h"
#include "native/sys/fd.h"

using namespace coracle;

namespace {

using Program = std::vector<sock_filter>;

constexpr uint32_t kBroken = 0xdead;

uint32_t verdict(const Program& program, const seccomp_data& data) {
  uint32_t held = 0;
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    const auto jump = [&](bool yes) { at += yes ? step.jt : step.jf; };
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        memcpy(&held, reinterpret_cast<const char*>(&data) + step.k, sizeof(held));
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        held &= step.k;
        break;
      case BPF_JMP | BPF_JA:
        at += step.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        jump(held == step.k);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        jump(held > step.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        jump(held >= step.k);
        break;
      case BPF_RET | BPF_K:
        return step.k;
      default:
        return kBroken;
    }
  }
  return kBroken;
}

constexpr uint32_t kArchs[] = {
    AUDIT_ARCH_X86_64, AUDIT_ARCH_I386,     AUDIT_ARCH_AARCH64,   AUDIT_ARCH_ARM, 0,
    UINT32_MAX,        AUDIT_ARCH_I386 - 1, AUDIT_ARCH_X86_64 + 1};

// Of arguments, values around those that the programs compare with.
seccomp_data call_of(std::mt19937& random, uint32_t arch, uint32_t number) {
  constexpr uint64_t kValues[] = {0, 1, 8, 9, 40, 0x20000, 0x7e020000, UINT32_MAX, 1ull << 32};
  seccomp_data data = {};
  data.arch = arch;
  data.nr = static_cast<int>(number);
  for (auto& arg : data.args) arg = kValues[random() % std::size(kValues)];
  return data;
}

void check_same(const Program& before, const Program& after) {
  std::mt19937 random(7);
  int differences = 0;
  const auto check = [&](uint32_t arch, uint32_t number) {
    for (int again = 0; again < 4; ++again) {
      const seccomp_data data = call_of(random, arch, number);
      const uint32_t expected = verdict(before, data);
      if (expected == kBroken || verdict(after, data) != expected) ++differences;
    }
  };
  for (const uint32_t arch : kArchs) {
    for (uint32_t number = 0; number < 1200; ++number) {
      check(arch, number);
      check(arch, number | 0x40000000);  // __X32_SYSCALL_BIT
      check(arch, 0u - number);
      check(arch, static_cast<uint32_t>(random()));
    }
  }
  CHECK(differences == 0);
}

struct Rule {
  int number;
  uint32_t action;
  std::vector<scmp_arg_cmp> args = {};
};

Program compile(uint32_t fallback, const std::vector<uint32_t>& archs,
                const std::vector<Rule>& rules, uint32_t optimize) {
  scmp_filter_ctx filter = seccomp_init(fallback);
  REQUIRE(filter != nullptr);
  seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, optimize);
  for (const uint32_t arch : archs) seccomp_arch_add(filter, arch);
  for (const Rule& rule : rules) {
    const int result =
        seccomp_rule_add_array(filter, rule.action, rule.number,
                               static_cast<unsigned>(rule.args.size()), rule.args.data());
    // A rule that says nothing new, or a call that an architecture does not have.
    REQUIRE((result == 0 || result == -EEXIST || result == -EDOM || result == -EACCES));
  }
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  Fd read_end(ends[0]);
  Fd write_end(ends[1]);
  REQUIRE(seccomp_export_bpf(filter, write_end.get()) == 0);
  write_end.reset();
  Program program(4096);
  const ssize_t size = read(read_end.get(), program.data(), program.size() * sizeof(sock_filter));
  REQUIRE(size > 0);
  program.resize(static_cast<size_t>(size) / sizeof(sock_filter));
  seccomp_release(filter);
  return program;
}

std::vector<uint32_t> all_archs() {
  return {SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32, SCMP_ARCH_AARCH64};
}

bool is_call(int number) {
  char* name = seccomp_syscall_resolve_num_arch(seccomp_arch_native(), number);
  free(name);
  return name != nullptr;
}

int number_of(const char* name) { return seccomp_syscall_resolve_name(name); }

}  // namespace

TEST_CASE("a program by ranges decides like the one it was made of") {
  std::mt19937 random(11);
  for (int round = 0; round < 12; ++round) {
    std::vector<Rule> rules;
    // From nearly all calls to a few, in runs and alone.
    for (int number = 0; number < 460; ++number) {
      if (random() % 12 < static_cast<unsigned>(round) || !is_call(number)) continue;
      rules.push_back({number, random() % 9 == 0 ? SCMP_ACT_ERRNO(13) : SCMP_ACT_ALLOW});
    }
    for (const uint32_t optimize : {1u, 2u}) {
      const Program before = compile(SCMP_ACT_ERRNO(1), all_archs(), rules, optimize);
      const Program after = by_ranges(before);
      CHECK(after.size() <= before.size());
      if (round < 4) CHECK(after.size() < before.size());
      check_same(before, after);
    }
  }
}

TEST_CASE("comparisons of arguments are kept") {
  std::vector<Rule> rules;
  for (int number = 0; number < 330; ++number) {
    if (number % 7 != 0 && is_call(number)) rules.push_back({number, SCMP_ACT_ALLOW});
  }
  const int personality = number_of("personality"), clone = number_of("clone");
  const int socket = number_of("socket");
  for (const uint64_t value : {0ull, 8ull, 0x20000ull, 0xffffffffull}) {
    rules.push_back({personality, SCMP_ACT_ALLOW, {{0, SCMP_CMP_EQ, value, 0}}});
  }
  rules.push_back({clone, SCMP_ACT_ALLOW, {{0, SCMP_CMP_MASKED_EQ, 0x7e020000, 0}}});
  rules.push_back({socket, SCMP_ACT_ALLOW, {{0, SCMP_CMP_LT, 40, 0}}});
  rules.push_back({socket, SCMP_ACT_ERRNO(97), {{0, SCMP_CMP_GT, 40, 0}}});
  rules.push_back({number_of("kcmp"),
                   SCMP_ACT_LOG,
                   {{1, SCMP_CMP_NE, 1, 0}, {4, SCMP_CMP_GE, 9, 0}, {5, SCMP_CMP_LE, 8, 0}}});
  for (const uint32_t optimize : {1u, 2u}) {
    const Program before = compile(SCMP_ACT_KILL_PROCESS, all_archs(), rules, optimize);
    const Program after = by_ranges(before);
    CHECK(after.size() < before.size());
    check_same(before, after);
  }
}

TEST_CASE("jumps reach over a tree of any size") {
  Program before = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr))};
  // Every number a verdict of its own: nothing can be shared.
  for (uint32_t number = 0; number < 900; ++number) {
    before.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
    before.push_back(BPF_STMT(BPF_RET | BPF_K, 0x50000 + number));
    before.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 0));
  }
  before.push_back(BPF_STMT(BPF_RET | BPF_K, 7));
  const Program after = by_ranges(before);
  CHECK(after.size() < before.size());
  check_same(before, after);
}

TEST_CASE("a program that does more than compare, or cannot be shorter, stays as it is") {
  const auto same = [](const Program& program) {
    const Program after = by_ranges(program);
    return std::equal(
        after.begin(), after.end(), program.begin(), program.end(),
        [](const sock_filter& a, const sock_filter& b) { return memcmp(&a, &b, sizeof(a)) == 0; });
  };
  constexpr uint32_t kNumber = offsetof(seccomp_data, nr);
  CHECK(same({}));
  CHECK(same({BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)}));
  // Arithmetic with a number; a comparison with nothing; an end that is none.
  CHECK(same({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 1),
              BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), BPF_STMT(BPF_RET | BPF_K, 1),
              BPF_STMT(BPF_RET | BPF_K, 2)}));
  CHECK(same({BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), BPF_STMT(BPF_RET | BPF_K, 1),
              BPF_STMT(BPF_RET | BPF_K, 2)}));
  CHECK(same({BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumber)}));
}
