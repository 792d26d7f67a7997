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

namespace {

// Returns the offset of the payload.
size_t append_step(std::vector<uint8_t>& steps, Op op, const std::vector<uint8_t>& payload) {
  const Bytes body = to_bytes(payload);
  Writer measure;
  measure(op), measure(body);
  const size_t start = steps.size();
  steps.resize(start + measure.size());
  Writer writer(steps.data() + start, measure.size());
  writer(op), writer(body);
  return steps.size() - payload.size();
}

}  // namespace

std::vector<uint8_t> steps_with(const EncodedPlan& plan, const std::vector<std::string>& argv) {
  Reader reader(plan.steps.data() + plan.last_step, plan.steps.size() - plan.last_step);
  Op op;
  Bytes payload;
  reader(op), reader(payload);
  Execve step;
  decode(payload, step);
  const std::vector<uint8_t> arguments = encode_strings(argv);
  step.argc = static_cast<uint32_t>(argv.size());
  step.argv = to_bytes(arguments);
  const std::vector<uint8_t> encoded = encode_bytes(step);
  std::vector<uint8_t> steps;
  steps.reserve(plan.last_step + sizeof(Op) + sizeof(uint32_t) + encoded.size());
  steps.assign(plan.steps.data(), plan.steps.data() + plan.last_step);
  append_step(steps, Execve::kOp, encoded);
  return steps;
}

size_t PlanBuilder::append(Op op, const std::vector<uint8_t>& payload) {
  plan_.last_step = plan_.steps.size();
  plan_.step_count++;
  return append_step(plan_.steps, op, payload);
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
