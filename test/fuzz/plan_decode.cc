// What a monitor reads from its socket, as libFuzzer makes it up: no plan may crash the check or
// get past it half-read. Built with -DCORACLE_FUZZ=ON and clang.
#include "native/launch/decode.h"
#include "native/plan/protocol.h"

using coracle::Bytes;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static char* slots[4096];
  constexpr size_t kDescriptors = 16;
  const Bytes body{data, static_cast<uint32_t>(size)};
  coracle::LaunchPlan plan;
  if (coracle::decode(body, plan)) {
    coracle::Program program;
    if (coracle::decode_program(plan, kDescriptors, {slots, 4096}, &program).ok()) {
      // A plan that was accepted has a program, and its list is as long as it says.
      if (program.argv == nullptr || program.argv[0] == nullptr) __builtin_trap();
      uint32_t steps = 0;
      const auto count = [&](uint32_t, coracle::Op, Bytes) {
        ++steps;
        return coracle::Error{};
      };
      if (!coracle::for_each_step(plan, count).ok() || steps != plan.step_count) __builtin_trap();
    }
  }
  coracle::SandboxRequest sandbox;
  coracle::decode(body, sandbox);
  coracle::SignalRequest signal;
  coracle::decode(body, signal);
  coracle::AttachRequest attach;
  coracle::decode(body, attach);
  coracle::ResizeRequest resize;
  coracle::decode(body, resize);
  return 0;
}
