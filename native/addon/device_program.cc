#include "native/addon/device_program.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "native/sys/fd.h"

namespace coracle {
namespace {

// By which a later call knows a program as ours; BPF_OBJ_NAME_LEN is 16 with the NUL.
constexpr char kProgramName[] = "coracle_devices";
static_assert(sizeof(kProgramName) <= BPF_OBJ_NAME_LEN);

// The kernel allows 64 programs on one cgroup (BPF_CGROUP_MAX_PROGS).
constexpr uint32_t kMaxPrograms = 64;

int bpf(bpf_cmd command, bpf_attr* attr) {
  return static_cast<int>(syscall(SYS_bpf, command, attr, sizeof(*attr)));
}

uint64_t address(const void* pointer) { return reinterpret_cast<uint64_t>(pointer); }

bpf_insn instruction(int code, int dst, int src, int offset, int32_t immediate) {
  bpf_insn insn = {};
  insn.code = static_cast<uint8_t>(code);
  insn.dst_reg = static_cast<uint8_t>(dst & 0xf);
  insn.src_reg = static_cast<uint8_t>(src & 0xf);
  insn.off = static_cast<int16_t>(offset);
  insn.imm = immediate;
  return insn;
}

// R1 is the context until the fields are loaded.
constexpr int kType = BPF_REG_2, kAccess = BPF_REG_3, kMajor = BPF_REG_4, kMinor = BPF_REG_5;
constexpr int kScratch = BPF_REG_1;

bpf_insn load(int dst, size_t offset) {
  return instruction(BPF_LDX | BPF_MEM | BPF_W, dst, BPF_REG_1, static_cast<int>(offset), 0);
}
bpf_insn alu(int op, int dst, int32_t immediate) {
  return instruction(BPF_ALU | op | BPF_K, dst, 0, 0, immediate);
}
bpf_insn move(int dst, int src) { return instruction(BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0); }
bpf_insn jump(int op, int dst, int32_t immediate, int offset) {
  return instruction(BPF_JMP | op | BPF_K, dst, 0, offset, immediate);
}

void add_exit(std::vector<bpf_insn>& out, int32_t verdict) {
  out.push_back(alu(BPF_MOV, BPF_REG_0, verdict));
  out.push_back(instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

void add_rule(std::vector<bpf_insn>& out, const DeviceRule& rule) {
  std::vector<size_t> mismatches;  // jumps to behind this rule
  auto unless_equal = [&](int reg, int64_t value) {
    mismatches.push_back(out.size());
    out.push_back(jump(BPF_JNE, reg, static_cast<int32_t>(value), 0));
  };
  if (rule.type != 'a') {
    unless_equal(kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  }
  if (rule.major >= 0) unless_equal(kMajor, rule.major);
  if (rule.minor >= 0) unless_equal(kMinor, rule.minor);
  if (rule.allow) {
    // What this rule grants is settled; the rest is up to the earlier rules.
    out.push_back(alu(BPF_AND, kAccess, ~static_cast<int32_t>(rule.access)));
    out.push_back(jump(BPF_JNE, kAccess, 0, 2));
    add_exit(out, 1);
  } else {
    out.push_back(move(kScratch, kAccess));
    out.push_back(alu(BPF_AND, kScratch, rule.access));
    out.push_back(jump(BPF_JEQ, kScratch, 0, 2));
    add_exit(out, 0);
  }
  for (size_t at : mismatches) out[at].off = static_cast<int16_t>(out.size() - at - 1);
}

Failure load_program(const std::vector<DeviceRule>& rules, const std::string& cgroup, Fd* program) {
  const std::vector<bpf_insn> instructions = device_instructions(rules);
  bpf_attr attr = {};
  attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attr.insns = address(instructions.data());
  attr.insn_cnt = static_cast<uint32_t>(instructions.size());
  attr.license = address("GPL");
  memcpy(attr.prog_name, kProgramName, sizeof(kProgramName));
  *program = Fd(bpf(BPF_PROG_LOAD, &attr));
  return *program ? Failure{} : system_failure("load device program", cgroup);
}

bool is_ours(int program) {
  bpf_prog_info info = {};
  bpf_attr attr = {};
  attr.info.bpf_fd = static_cast<uint32_t>(program);
  attr.info.info_len = sizeof(info);
  attr.info.info = address(&info);
  return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0 && strcmp(info.name, kProgramName) == 0;
}

// Our programs on the cgroup; several only where a call was cut short.
Failure find_ours(int cgroup_fd, const std::string& cgroup, std::vector<Fd>* ours) {
  uint32_t ids[kMaxPrograms] = {};
  bpf_attr attr = {};
  attr.query.target_fd = static_cast<uint32_t>(cgroup_fd);
  attr.query.attach_type = BPF_CGROUP_DEVICE;
  attr.query.prog_ids = address(ids);
  attr.query.prog_cnt = kMaxPrograms;
  if (bpf(BPF_PROG_QUERY, &attr) != 0) return system_failure("query device programs", cgroup);
  for (uint32_t i = 0; i < attr.query.prog_cnt; i++) {
    bpf_attr by_id = {};
    by_id.prog_id = ids[i];
    Fd program(bpf(BPF_PROG_GET_FD_BY_ID, &by_id));
    if (program && is_ours(program.get())) ours->push_back(std::move(program));
  }
  return {};
}

int attach(int cgroup_fd, int program, int replaced) {
  bpf_attr attr = {};
  attr.target_fd = static_cast<uint32_t>(cgroup_fd);
  attr.attach_bpf_fd = static_cast<uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  attr.attach_flags = BPF_F_ALLOW_MULTI;
  if (replaced >= 0) {
    attr.attach_flags |= BPF_F_REPLACE;  // Linux 5.6
    attr.replace_bpf_fd = static_cast<uint32_t>(replaced);
  }
  return bpf(BPF_PROG_ATTACH, &attr);
}

int detach(int cgroup_fd, int program) {
  bpf_attr attr = {};
  attr.target_fd = static_cast<uint32_t>(cgroup_fd);
  attr.attach_bpf_fd = static_cast<uint32_t>(program);
  attr.attach_type = BPF_CGROUP_DEVICE;
  return bpf(BPF_PROG_DETACH, &attr);
}

}  // namespace

std::vector<bpf_insn> device_instructions(const std::vector<DeviceRule>& rules) {
  std::vector<bpf_insn> out;
  // access_type is (access << 16) | type.
  out.push_back(load(kAccess, offsetof(bpf_cgroup_dev_ctx, access_type)));
  out.push_back(move(kType, kAccess));
  out.push_back(alu(BPF_AND, kType, 0xffff));
  out.push_back(alu(BPF_RSH, kAccess, 16));
  out.push_back(load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)));
  out.push_back(load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)));
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) add_rule(out, *rule);
  add_exit(out, 0);
  return out;
}

Failure attach_device_program(const std::string& cgroup, const std::vector<DeviceRule>& rules) {
  Fd directory(open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return system_failure("open cgroup", cgroup);
  Fd program;
  Failure failure = load_program(rules, cgroup, &program);
  if (failure.failed()) return failure;
  std::vector<Fd> ours;
  failure = find_ours(directory.get(), cgroup, &ours);
  if (failure.failed()) return failure;
  // Replaced in one step: at no moment does the cgroup have neither program.
  const int replaced = ours.empty() ? -1 : ours.front().get();
  if (attach(directory.get(), program.get(), replaced) != 0) {
    return system_failure("attach device program", cgroup);
  }
  for (size_t i = 1; i < ours.size(); i++) detach(directory.get(), ours[i].get());
  return {};
}

}  // namespace coracle
