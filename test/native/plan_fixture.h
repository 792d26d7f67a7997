// Builds encoded LaunchPlans for the tests of decoding and launching.
#ifndef CORACLE_TEST_NATIVE_PLAN_FIXTURE_H_
#define CORACLE_TEST_NATIVE_PLAN_FIXTURE_H_

#include <string>
#include <vector>

#include "native/launch/launch.h"
#include "native/plan/steps.h"
#include "native/sys/syscalls.h"

namespace coracle::test {

inline Str str(const char* text) { return Str{text, static_cast<uint32_t>(strlen(text))}; }

template <typename T>
std::vector<uint8_t> encoded(const T& message) {
  Writer measure;
  encode(measure, message);
  std::vector<uint8_t> bytes(measure.size());
  Writer writer(bytes.data(), bytes.size());
  encode(writer, message);
  return bytes;
}

inline std::vector<uint8_t> strings(const std::vector<std::string>& items) {
  std::vector<uint8_t> bytes;
  for (const std::string& item : items) {
    Str value{item.c_str(), static_cast<uint32_t>(item.size())};
    Writer measure;
    measure(value);
    size_t at = bytes.size();
    bytes.resize(at + measure.size());
    Writer writer(bytes.data() + at, measure.size());
    writer(value);
  }
  return bytes;
}

inline Bytes view(const std::vector<uint8_t>& bytes) {
  return Bytes{bytes.data(), static_cast<uint32_t>(bytes.size())};
}

// Steps are appended in order; `get()` points into this object.
class PlanBuilder {
 public:
  PlanBuilder() {
    plan_.id = str("test");
    plan_.clone_flags = sys::kCloneNewNs | sys::kCloneNewUts | sys::kCloneNewIpc;
  }

  LaunchPlan& plan() { return plan_; }

  template <typename S>
  PlanBuilder& add(const S& step) {
    return add_raw(static_cast<uint16_t>(S::kOp), encoded(step));
  }
  PlanBuilder& add_raw(uint16_t op, const std::vector<uint8_t>& payload) {
    Writer measure;
    measure(op), measure(view(payload));
    size_t at = steps_.size();
    steps_.resize(at + measure.size());
    Writer writer(steps_.data() + at, measure.size());
    writer(op), writer(view(payload));
    ++plan_.step_count;
    return *this;
  }
  PlanBuilder& overlay(const std::vector<std::string>& lower, const char* upper, const char* work,
                       const char* options = "") {
    auto list = strings(lower);
    return add(Overlay{static_cast<uint16_t>(lower.size()), view(list), str(upper), str(work),
                       str(options)});
  }
  PlanBuilder& user(const char* user, const char* group = "", std::vector<uint32_t> extra = {}) {
    User step;
    step.user = str(user), step.group = str(group);
    step.extra_count = static_cast<uint16_t>(extra.size());
    step.extra = Bytes{reinterpret_cast<const uint8_t*>(extra.data()),
                       static_cast<uint32_t>(extra.size() * sizeof(uint32_t))};
    return add(step);
  }
  PlanBuilder& execve(const std::vector<std::string>& argv,
                      const std::vector<std::string>& env = {"PATH=/bin"}) {
    auto argv_list = strings(argv);
    auto env_list = strings(env);
    return add(Execve{static_cast<uint32_t>(argv.size()), view(argv_list),
                      static_cast<uint32_t>(env.size()), view(env_list)});
  }

  const LaunchPlan& get() {
    plan_.steps = view(steps_);
    return plan_;
  }

 private:
  LaunchPlan plan_;
  std::vector<uint8_t> steps_;
};

}  // namespace coracle::test

#endif  // CORACLE_TEST_NATIVE_PLAN_FIXTURE_H_
