// Device access control of cgroup v2: a BPF program made from device rules.
#ifndef CORACLE_NATIVE_ADDON_DEVICE_PROGRAM_H_
#define CORACLE_NATIVE_ADDON_DEVICE_PROGRAM_H_

#include <stdint.h>

#include <string>
#include <vector>

#include "native/addon/failure.h"

struct bpf_insn;

namespace coracle {

// Bits of BPF_DEVCG_ACC_* in <linux/bpf.h>.
enum DeviceAccess : uint8_t { kDeviceMknod = 1, kDeviceRead = 2, kDeviceWrite = 4 };

struct DeviceRule {
  bool allow = false;
  char type = 'a';     // 'a' for both, 'b' or 'c'
  int64_t major = -1;  // -1: any
  int64_t minor = -1;
  uint8_t access = 0;  // DeviceAccess bits
};

// Later rules win, for each kind of access by itself; what no rule mentions is denied.
std::vector<bpf_insn> device_instructions(const std::vector<DeviceRule>& rules);

// Loads the program and attaches it to the cgroup directory (Linux 4.15), in place of the one
// that an earlier call attached. Programs of others there are left alone; they all must agree.
Failure attach_device_program(const std::string& cgroup, const std::vector<DeviceRule>& rules);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_DEVICE_PROGRAM_H_
