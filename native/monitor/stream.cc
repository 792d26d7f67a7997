#include <sys/epoll.h>

#include "native/monitor/monitor.h"
#include "native/monitor/watch.h"

namespace coracle {

void handle_stream(Monitor& monitor, Entry& entry, int stream) {
  LogPump& pump = entry.pumps[stream];
  if (!pump.is_open()) return;
  switch (pump.pump(monitor.buffers, entry.log)) {
    case PumpState::kMore:
    case PumpState::kEmpty:
      break;
    case PumpState::kBlocked:
      // The source is left out meanwhile: its hang-up would be reported without end.
      unwatch(monitor, Source::kStream, pump.source());
      watch(monitor, Source::kTarget, pump.target(),
            stream_place(monitor.entries.slot_of(&entry), stream), entry.generation, EPOLLOUT);
      break;
    case PumpState::kEnded:
      close_stream(monitor, pump);
      break;
  }
}

void handle_target(Monitor& monitor, Entry& entry, int stream) {
  LogPump& pump = entry.pumps[stream];
  if (!pump.is_open()) return;
  unwatch(monitor, Source::kTarget, pump.target());
  watch(monitor, Source::kStream, pump.source(),
        stream_place(monitor.entries.slot_of(&entry), stream), entry.generation, EPOLLIN);
}

}  // namespace coracle
