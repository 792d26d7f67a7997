#include "native/addon/plan_builder.h"

namespace coracle {

std::vector<uint8_t> encode_strings(const std::vector<std::string>& strings) {
  Writer measure;
  for (const std::string& text : strings) measure(to_str(text));
  std::vector<uint8_t> bytes(measure.size());
  Writer writer(bytes.data(), bytes.size());
  for (const std::string& text : strings) writer(to_str(text));
  return bytes;
}

size_t PlanBuilder::append(Op op, const std::vector<uint8_t>& payload) {
  std::vector<uint8_t>& steps = plan_.steps;
  const Bytes body = to_bytes(payload);
  Writer measure;
  measure(op), measure(body);
  const size_t start = steps.size();
  steps.resize(start + measure.size());
  Writer writer(steps.data() + start, measure.size());
  writer(op), writer(body);
  plan_.step_count++;
  return steps.size() - payload.size();
}

// The steps with a descriptor encode its FdIndex first.

void PlanBuilder::add_join_cgroup(const std::string& file) {
  JoinCgroup step;
  step.path = to_str(file);
  const size_t payload = append(JoinCgroup::kOp, encode_bytes(step));
  plan_.host_paths.push_back({HostPath::Kind::kTasksFile, file, payload});
}

void PlanBuilder::add_root_bind(const std::string& source) {
  RootBind step;
  step.path = to_str(source);
  const size_t payload = append(RootBind::kOp, encode_bytes(step));
  plan_.host_paths.push_back({HostPath::Kind::kRecursiveTree, source, payload});
}

void PlanBuilder::add_bind(const Bind& bind, bool recursive) {
  Writer before_kind;
  before_kind(bind.fd), before_kind(bind.source), before_kind(bind.target);
  const size_t payload = append(Bind::kOp, encode_bytes(bind));
  plan_.host_paths.push_back({recursive ? HostPath::Kind::kRecursiveTree : HostPath::Kind::kTree,
                              std::string(bind.source.data, bind.source.size), payload,
                              payload + before_kind.size()});
}

}  // namespace coracle
