#include "native/addon/bpf_ranges.h"

#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include <compare>
#include <map>
#include <set>
#include <utility>

namespace coracle {
namespace {

using Program = std::vector<sock_filter>;

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr uint16_t kAnd = BPF_ALU | BPF_AND | BPF_K;
constexpr uint16_t kGoto = BPF_JMP | BPF_JA;
constexpr uint16_t kEqual = BPF_JMP | BPF_JEQ | BPF_K;
constexpr uint16_t kGreater = BPF_JMP | BPF_JGT | BPF_K;
constexpr uint16_t kAtLeast = BPF_JMP | BPF_JGE | BPF_K;
constexpr uint16_t kReturn = BPF_RET | BPF_K;
constexpr uint32_t kArch = offsetof(seccomp_data, arch);
constexpr uint32_t kNumber = offsetof(seccomp_data, nr);

bool compares(uint16_t code) { return code == kEqual || code == kGreater || code == kAtLeast; }

bool holds(const sock_filter& test, uint32_t value) {
  if (test.code == kEqual) return value == test.k;
  return test.code == kGreater ? value > test.k : value >= test.k;
}

// What a call comes to before its arguments count: a verdict, or the place where one is loaded.
struct Outcome {
  bool decided = false;
  uint32_t value = 0;  // a seccomp return value, or an index into the program
  auto operator<=>(const Outcome&) const = default;
};

// Where the outcome may change, as first values of ranges; the first of all is 0.
struct Bounds {
  std::set<uint32_t> archs = {0}, numbers = {0};
};

// Which of the two the accumulator holds.
enum class Holds : uint8_t { kNothing, kArch, kNumber };

// Follows both ways of each comparison. False for a program that is no tree of comparisons.
bool find_bounds(const Program& program, Bounds* bounds) {
  std::set<std::pair<size_t, Holds>> seen;
  std::vector<std::pair<size_t, Holds>> left = {{0, Holds::kNothing}};
  while (!left.empty()) {
    const auto [at, held] = left.back();
    left.pop_back();
    if (at >= program.size()) return false;
    if (!seen.insert({at, held}).second) continue;
    const sock_filter& step = program[at];
    if (step.code == kReturn) continue;
    if (step.code == kLoad) {
      if (step.k == kArch) left.push_back({at + 1, Holds::kArch});
      if (step.k == kNumber) left.push_back({at + 1, Holds::kNumber});
    } else if (step.code == kGoto) {
      left.push_back({at + 1 + step.k, held});
    } else if (compares(step.code) && held != Holds::kNothing) {
      std::set<uint32_t>& of = held == Holds::kArch ? bounds->archs : bounds->numbers;
      if (step.code != kGreater) of.insert(step.k);
      if (step.code != kAtLeast && step.k != UINT32_MAX) of.insert(step.k + 1);
      left.push_back({at + 1 + step.jt, held});
      left.push_back({at + 1 + step.jf, held});
    } else {
      return false;
    }
  }
  return true;
}

Outcome outcome_of(const Program& program, uint32_t arch, uint32_t number) {
  uint32_t held = 0;
  for (size_t at = 0;; ++at) {
    const sock_filter& step = program[at];
    if (step.code == kReturn) return {true, step.k};
    if (step.code == kLoad) {
      if (step.k != kArch && step.k != kNumber) return {false, static_cast<uint32_t>(at)};
      held = step.k == kArch ? arch : number;
    } else {
      at += step.code == kGoto ? step.k : holds(step, held) ? step.jt : step.jf;
    }
  }
}

// Ranges by their first values, each with what holds up to the next one.
template <typename Value>
using Ranges = std::vector<std::pair<uint32_t, Value>>;

template <typename Value>
void append(Ranges<Value>& ranges, uint32_t first, Value value) {
  if (ranges.empty() || ranges.back().second != value) ranges.push_back({first, std::move(value)});
}

// Everything that can be reached from an argument's load, without what is between.
bool find_kept(const Program& program, uint32_t from, std::set<uint32_t>* kept) {
  std::vector<size_t> left = {from};
  while (!left.empty()) {
    const size_t at = left.back();
    left.pop_back();
    if (at >= program.size()) return false;
    if (!kept->insert(static_cast<uint32_t>(at)).second) continue;
    const sock_filter& step = program[at];
    if (step.code == kReturn) continue;
    if (step.code == kGoto) {
      left.push_back(at + 1 + step.k);
    } else if (compares(step.code)) {
      left.push_back(at + 1 + step.jt);
      left.push_back(at + 1 + step.jf);
    } else if (step.code == kLoad || step.code == kAnd) {
      left.push_back(at + 1);
    } else {
      return false;
    }
  }
  return true;
}

// Writes a program from its end to its beginning, since jumps lead forward only. Places are counted
// from the end.
class Assembler {
 public:
  size_t put(uint16_t code, uint32_t k, uint8_t jt = 0, uint8_t jf = 0) {
    code_.push_back({code, jt, jf, k});
    return code_.size() - 1;
  }
  size_t compare(uint16_t code, uint32_t k, size_t yes, size_t no) {
    // A place less than the most: the second detour is put between.
    if (distance(yes) >= kFarthest) yes = put(kGoto, distance(yes));
    if (distance(no) >= kFarthest) no = put(kGoto, distance(no));
    return put(code, k, static_cast<uint8_t>(distance(yes)), static_cast<uint8_t>(distance(no)));
  }
  uint32_t distance(size_t place) const { return static_cast<uint32_t>(code_.size() - place - 1); }

  // What was kept of a program.
  void copy(const Program& program, const std::set<uint32_t>& kept) {
    for (auto at = kept.rbegin(); at != kept.rend(); ++at) {
      const sock_filter& step = program[*at];
      const auto place = [&](uint32_t skipped) { return kept_.at(*at + 1 + skipped); };
      if (step.code == kGoto) {
        kept_[*at] = put(kGoto, distance(place(step.k)));
      } else if (compares(step.code)) {
        kept_[*at] = compare(step.code, step.k, place(step.jt), place(step.jf));
      } else {
        // The next one is kept, too, and was put last.
        kept_[*at] = put(step.code, step.k);
      }
    }
  }

  size_t leaf(const Outcome& outcome) {
    const auto known = leaves_.find(outcome);
    if (known != leaves_.end() && distance(known->second) < kFarthest) return known->second;
    const size_t place = outcome.decided ? put(kReturn, outcome.value)
                                         : put(kGoto, distance(kept_.at(outcome.value)));
    leaves_[outcome] = place;
    return place;
  }

  // The tree over ranges [begin, end), with the accumulator loaded; returns its first place.
  template <typename Value, typename Leaf>
  size_t tree(const Ranges<Value>& ranges, size_t begin, size_t end, const Leaf& leaf_of) {
    if (end - begin == 1) return leaf_of(ranges[begin].second);
    // One value in the midst of others takes one comparison.
    if (end - begin == 3 && ranges[begin].second == ranges[begin + 2].second &&
        ranges[begin + 2].first - ranges[begin + 1].first == 1) {
      const size_t outside = leaf_of(ranges[begin].second);
      const size_t inside = leaf_of(ranges[begin + 1].second);
      return compare(kEqual, ranges[begin + 1].first, inside, outside);
    }
    const size_t middle = begin + (end - begin) / 2;
    const size_t above = tree(ranges, middle, end, leaf_of);
    const size_t below = tree(ranges, begin, middle, leaf_of);
    return compare(kAtLeast, ranges[middle].first, above, below);
  }

  // The first place is where the program begins.
  Program finish(size_t first) {
    if (distance(first) != 0) put(kGoto, distance(first));
    put(kLoad, kArch);
    return Program(code_.rbegin(), code_.rend());
  }

 private:
  static constexpr uint32_t kFarthest = UINT8_MAX;

  Program code_;
  std::map<uint32_t, size_t> kept_;
  std::map<Outcome, size_t> leaves_;
};

}  // namespace

Program by_ranges(const Program& program) {
  Bounds bounds;
  if (!find_bounds(program, &bounds)) return program;
  Ranges<Ranges<Outcome>> archs;
  std::set<uint32_t> kept;
  for (const uint32_t arch : bounds.archs) {
    Ranges<Outcome> numbers;
    for (const uint32_t number : bounds.numbers) {
      append(numbers, number, outcome_of(program, arch, number));
    }
    for (const auto& [first, outcome] : numbers) {
      if (!outcome.decided && !find_kept(program, outcome.value, &kept)) return program;
    }
    append(archs, arch, std::move(numbers));
  }
  Assembler out;
  out.copy(program, kept);
  std::map<Ranges<Outcome>, size_t> trees;
  const auto leaf = [&](const Outcome& outcome) { return out.leaf(outcome); };
  for (const auto& [first, numbers] : archs) {
    if (trees.contains(numbers)) continue;
    const size_t place = out.tree(numbers, 0, numbers.size(), leaf);
    // The tree may be a leaf that stands elsewhere, and its first place need not be the last put.
    if (out.distance(place) != 0) out.put(kGoto, out.distance(place));
    trees[numbers] = out.put(kLoad, kNumber);
  }
  const auto tree = [&](const Ranges<Outcome>& numbers) { return trees.at(numbers); };
  Program shorter = out.finish(out.tree(archs, 0, archs.size(), tree));
  return shorter.size() < program.size() ? shorter : program;
}

}  // namespace coracle
