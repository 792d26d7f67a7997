#include "native/monitor/watch.h"

#include <sys/epoll.h>

namespace coracle {
namespace {

int set_of(const Monitor& monitor, Source source) {
  return source >= Source::kStream ? monitor.data_epoll.get() : monitor.epoll.get();
}

}  // namespace

void watch(Monitor& monitor, Source source, int fd, uint32_t place, uint32_t generation,
           uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag_of(source, place, generation);
  epoll_ctl(set_of(monitor, source), EPOLL_CTL_ADD, fd, &event);
}

void unwatch(Monitor& monitor, Source source, int fd) {
  if (fd >= 0) epoll_ctl(set_of(monitor, source), EPOLL_CTL_DEL, fd, nullptr);
}

void watch_process(Monitor& monitor, Entry& entry) {
  const uint32_t slot = monitor.entries.slot_of(&entry);
  // What a run says is read when it has ended: one wake instead of three.
  if (!entry.run) {
    watch(monitor, Source::kReport, entry.process.report_fd, slot, entry.generation, EPOLLIN);
  }
  watch(monitor, Source::kProcess, entry.process.pidfd, slot, entry.generation, EPOLLIN);
}

void watch_streams(Monitor& monitor, Entry& entry) {
  const uint32_t slot = monitor.entries.slot_of(&entry);
  for (int stream = 0; stream < 2; ++stream) {
    if (!entry.pumps[stream].is_open()) continue;
    watch(monitor, Source::kStream, entry.pumps[stream].source(), stream_place(slot, stream),
          entry.generation, EPOLLIN);
  }
}

void close_stream(Monitor& monitor, LogPump& pump) {
  unwatch(monitor, Source::kStream, pump.source());
  unwatch(monitor, Source::kTarget, pump.target());
  pump.close();
}

}  // namespace coracle
