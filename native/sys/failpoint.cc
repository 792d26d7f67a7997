#include "native/sys/failpoint.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

namespace coracle::sys {
namespace {

enum class Action : uint8_t { kError, kDelay, kKill, kCount };

constexpr uint32_t kMaxPoints = 16;
constexpr uint32_t kMaxName = 48;

struct Point {
  char name[kMaxName];
  uint32_t length;
  bool prefix;
  Action action;
  uint32_t value;  // errno, or milliseconds
  uint32_t first;
  uint32_t times;
  uint32_t percent;
  uint32_t hits;
};

Point points[kMaxPoints];
uint32_t point_count = 0;
uint32_t random_state = 1;

struct Errno {
  const char* name;
  int code;
};

constexpr Errno kErrnos[] = {
    {"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EMFILE", EMFILE}, {"ENFILE", ENFILE},
    {"ENOMEM", ENOMEM}, {"EINTR", EINTR},   {"EAGAIN", EAGAIN}, {"EPERM", EPERM},
    {"EACCES", EACCES}, {"ENOENT", ENOENT}, {"EBUSY", EBUSY},   {"EINVAL", EINVAL},
    {"EROFS", EROFS},   {"ENOSYS", ENOSYS}, {"EPIPE", EPIPE},   {"ECONNRESET", ECONNRESET},
};

// Reads one spec from left to right; `ok` stays false after the first thing that does not fit.
struct Reader {
  const char* at;
  bool ok = true;

  bool take(char c) {
    if (*at != c) return false;
    ++at;
    return true;
  }
  bool take(const char* word) {
    const size_t size = strlen(word);
    if (strncmp(at, word, size) != 0) return false;
    at += size;
    return true;
  }
  uint32_t number() {
    if (*at < '0' || *at > '9') ok = false;
    uint32_t value = 0;
    for (; *at >= '0' && *at <= '9'; ++at) value = value * 10 + static_cast<uint32_t>(*at - '0');
    return value;
  }
};

bool ends_word(char c) { return c == '\0' || c == ';' || c == '@' || c == 'x' || c == '%'; }

void read_action(Reader& in, Point& point) {
  if (in.take("kill")) {
    point.action = Action::kKill;
  } else if (in.take("count")) {
    point.action = Action::kCount;
  } else if (in.take("delay(")) {
    point.action = Action::kDelay;
    point.value = in.number();
    in.ok = in.ok && in.take(')');
  } else {
    point.action = Action::kError;
    for (const Errno& known : kErrnos) {
      const size_t size = strlen(known.name);
      if (strncmp(in.at, known.name, size) != 0 || !ends_word(in.at[size])) continue;
      point.value = static_cast<uint32_t>(known.code);
      in.at += size;
      return;
    }
    in.ok = false;
  }
}

Point read_point(Reader& in) {
  Point point{};
  while (*in.at != '\0' && *in.at != '=' && *in.at != '*' && point.length + 1 < kMaxName) {
    point.name[point.length++] = *in.at++;
  }
  point.prefix = in.take('*');
  in.ok = in.ok && point.length > 0 && in.take('=');
  if (!in.ok) return point;
  read_action(in, point);
  point.first = in.take('@') ? in.number() : 1;
  point.times = in.take('x') ? in.number() : UINT32_MAX;
  point.percent = in.take('%') ? in.number() : 100;
  return point;
}

// 0 … 99, xorshift32 (Marsaglia 2003). Threads that race here only spoil the repeatability.
uint32_t chance() {
  uint32_t state = __atomic_load_n(&random_state, __ATOMIC_RELAXED);
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  __atomic_store_n(&random_state, state, __ATOMIC_RELAXED);
  return state % 100;
}

Point* find(const char* name) {
  for (uint32_t i = 0; i < point_count; ++i) {
    Point& point = points[i];
    const bool same = strncmp(name, point.name, point.length) == 0;
    if (same && (point.prefix || name[point.length] == '\0')) return &point;
  }
  return nullptr;
}

void pause_for(uint32_t milliseconds) {
  timespec left{static_cast<time_t>(milliseconds / 1000),
                static_cast<long>(milliseconds % 1000) * 1'000'000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

}  // namespace

bool detail::failpoints_armed = false;

int detail::hit_failpoint(const char* name) {
  Point* point = find(name);
  if (point == nullptr) return 0;
  const uint32_t hit = __atomic_add_fetch(&point->hits, 1, __ATOMIC_RELAXED);
  if (hit < point->first || hit - point->first >= point->times) return 0;
  if (point->percent < 100 && chance() >= point->percent) return 0;
  switch (point->action) {
    case Action::kError:
      errno = static_cast<int>(point->value);
      return errno;
    case Action::kDelay:
      pause_for(point->value);
      return 0;
    case Action::kKill:
      kill(getpid(), SIGKILL);
      // The first process of a PID namespace cannot kill itself, pid_namespaces(7).
      _exit(128 + SIGKILL);
    case Action::kCount:
      return 0;
  }
  return 0;
}

bool arm_failpoints(const char* spec) {
  point_count = 0;
  detail::failpoints_armed = false;
  uint32_t seed = 1;
  Reader in{spec == nullptr ? "" : spec};
  while (in.ok && *in.at != '\0') {
    if (in.take(';')) continue;
    if (in.take("seed=")) {
      seed = in.number();
    } else if (point_count == kMaxPoints) {
      in.ok = false;
    } else {
      points[point_count++] = read_point(in);
    }
    in.ok = in.ok && (*in.at == '\0' || *in.at == ';');
  }
  if (!in.ok) point_count = 0;
  random_state = seed ^ 0x9e3779b9 ? seed ^ 0x9e3779b9 : 1;
  detail::failpoints_armed = point_count > 0;
  return in.ok;
}

}  // namespace coracle::sys
