// Builds the encoded form of a LaunchPlan, once, for any number of launches.
#ifndef CORACLE_NATIVE_ADDON_PLAN_BUILDER_H_
#define CORACLE_NATIVE_ADDON_PLAN_BUILDER_H_

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <string_view>
#include <vector>

#include "native/plan/steps.h"

namespace coracle {

// A host path that is opened for every launch of a plan, and where its descriptor's place in the
// message has to be written.
struct HostPath {
  enum class Kind { kTasksFile, kTree, kRecursiveTree };
  static constexpr size_t kNoOffset = SIZE_MAX;

  Kind kind;
  std::string path;
  size_t index_offset;             // of the FdIndex, in EncodedPlan::steps
  size_t kind_offset = kNoOffset;  // of Bind::kind, likewise
};

// Immutable once built; shared between threads.
struct EncodedPlan {
  std::string id;
  std::string parent;
  uint32_t clone_flags = 0;
  PidMode pid_mode = PidMode::kNew;
  uint32_t flags = 0;  // LaunchFlags without kStartAtOnce
  std::string into_cgroup;
  std::string kill_cgroup;
  bool kill_is_list = false;  // kill_cgroup names a v1 cgroup.procs, not a v2 cgroup.kill
  uint32_t step_count = 0;
  std::vector<uint8_t> steps;
  size_t last_step = 0;  // where the last of `steps` begins: Execve
  std::vector<HostPath> host_paths;

  // Descriptors that a launch sends, its stdio and log apart.
  size_t fd_count() const {
    return host_paths.size() + (into_cgroup.empty() ? 0 : 1) + (kill_cgroup.empty() ? 0 : 1);
  }
  // Bytes of the request's body, give or take its stdio.
  size_t bytes() const { return steps.size() + id.size() + parent.size() + 64; }
};

inline Str to_str(std::string_view text) {
  return Str{text.data(), static_cast<uint32_t>(text.size())};
}

// Encodes any message of native/plan into bytes of its own.
template <typename T>
std::vector<uint8_t> encode_bytes(const T& message) {
  Writer measure;
  encode(measure, message);
  std::vector<uint8_t> bytes(measure.size());
  Writer writer(bytes.data(), bytes.size());
  encode(writer, message);
  return bytes;
}

// A list of strings as the steps want it: one Str after the other.
std::vector<uint8_t> encode_strings(const std::vector<std::string>& strings);

inline Bytes to_bytes(const std::vector<uint8_t>& bytes) {
  return Bytes{bytes.data(), static_cast<uint32_t>(bytes.size())};
}

// The steps of a plan, with other arguments for its program.
std::vector<uint8_t> steps_with(const EncodedPlan& plan, const std::vector<std::string>& argv);

class PlanBuilder {
 public:
  template <typename T>
  void add(const T& step) {
    append(T::kOp, encode_bytes(step));
  }
  // Steps that need a descriptor of a host path.
  void add_join_cgroup(const std::string& file);
  void add_root_bind(const std::string& source);
  // `bind.source` is the host path; its fd and kind are found when the plan is launched.
  void add_bind(const Bind& bind, bool recursive);

  EncodedPlan& plan() { return plan_; }
  EncodedPlan finish() { return std::move(plan_); }

 private:
  // Returns the offset of the payload in the list of steps.
  size_t append(Op op, const std::vector<uint8_t>& payload);

  EncodedPlan plan_;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_PLAN_BUILDER_H_
