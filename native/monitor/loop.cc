#include <signal.h>
#include <sys/epoll.h>

#include "native/monitor/clock.h"
#include "native/monitor/monitor.h"
#include "native/monitor/watch.h"

namespace coracle {
namespace {

constexpr int kEventsPerTurn = 32;

// After this long without work, memory that a flood has touched goes back to the kernel.
constexpr int kIdleMilliseconds = 500;

int wait_time(const Monitor& monitor) {
  uint64_t until = monitor.retry_at;
  if (monitor.shutting_down && (until == 0 || monitor.shutdown_by < until)) {
    until = monitor.shutdown_by;
  }
  if (until == 0) return monitor.buffers.used ? kIdleMilliseconds : -1;
  const uint64_t now = monotonic_ns();
  return until <= now ? 0 : static_cast<int>((until - now + kNanosPerMilli - 1) / kNanosPerMilli);
}

void handle_data(Monitor& monitor) {
  epoll_event event;
  if (epoll_wait(monitor.data_epoll.get(), &event, 1, 0) != 1) return;
  const uint32_t place = place_of(event.data.u64);
  const Source source = source_of(event.data.u64);
  if (source == Source::kStream || source == Source::kTarget) {
    Entry* entry = monitor.entries.at(place / 2, generation_of(event.data.u64));
    if (entry == nullptr) return;
    const int stream = static_cast<int>(place % 2);
    return source == Source::kStream ? handle_stream(monitor, *entry, stream)
                                     : handle_target(monitor, *entry, stream);
  }
  AttachClient* client = monitor.clients.at(place, generation_of(event.data.u64));
  if (client == nullptr) return;
  if (source == Source::kOutput) handle_output(monitor, *client, event.events);
  if (source == Source::kInput) handle_input(monitor, *client);
  if (source == Source::kInputTarget) handle_input_target(monitor, *client);
}

void handle_event(Monitor& monitor, const epoll_event& event) {
  const uint32_t place = place_of(event.data.u64);
  const uint32_t generation = generation_of(event.data.u64);
  switch (source_of(event.data.u64)) {
    case Source::kListener:
      return accept_client(monitor);
    case Source::kConnection:
      return handle_client(monitor, place, generation, event.events);
    case Source::kReaper:
      return handle_reaper_exit(monitor);
    case Source::kProcess:
      if (Entry* entry = monitor.entries.at(place, generation)) handle_process(monitor, *entry);
      return;
    case Source::kReport:
      if (Entry* entry = monitor.entries.at(place, generation)) handle_report(monitor, *entry);
      return;
    default:
      return;
  }
}

}  // namespace

// Control first, then at most one chunk of data.
void turn(Monitor& monitor, int longest) {
  int wait = wait_time(monitor);
  if (longest >= 0 && (wait < 0 || wait > longest)) wait = longest;
  epoll_event events[kEventsPerTurn];
  const int count = epoll_wait(monitor.epoll.get(), events, kEventsPerTurn, wait);
  if (count == 0 && monitor.retry_at == 0) monitor.buffers.release();
  bool data = false;
  for (int place = 0; place < count; ++place) {
    if (source_of(events[place].data.u64) == Source::kData) {
      data = true;
    } else {
      handle_event(monitor, events[place]);
    }
  }
  if (data) handle_data(monitor);
  continue_exits(monitor);
  continue_shutdown(monitor);
}

bool open_monitor(Monitor& monitor, int listener, const char* pod_id) {
  monitor.pod_id = pod_id;
  monitor.listener.reset(listener);
  monitor.epoll.reset(epoll_create1(EPOLL_CLOEXEC));
  monitor.data_epoll.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!monitor.epoll || !monitor.data_epoll) return false;
  watch(monitor, Source::kListener, listener, 0, 0, EPOLLIN);
  watch(monitor, Source::kData, monitor.data_epoll.get(), 0, 0, EPOLLIN);
  return true;
}

void run(Monitor& monitor) {
  while (!monitor.done) turn(monitor, -1);
  // The last answer may still be queued.
  const uint64_t until = monotonic_ns() + kNanosPerSecond;
  for (Connection& connection : monitor.connections) {
    while (connection.is_open() && connection.has_queue() && monotonic_ns() < until) {
      if (!connection.flush()) break;
    }
  }
}

}  // namespace coracle
