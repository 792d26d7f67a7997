#include <sys/epoll.h>

#include "native/monitor/monitor.h"
#include "native/monitor/watch.h"

namespace coracle {

PumpState pump_stream(Monitor& monitor, Entry& entry, int stream) {
  const PumpState state = entry.pumps[stream].pump(monitor.buffers, entry.log);
  if (entry.clients == 0) return state;
  if (monitor.buffers.filled != 0) {
    copy_to_clients(monitor, entry, stream, monitor.buffers.input.data(), monitor.buffers.filled);
  }
  if (state == PumpState::kEnded) end_client_stream(monitor, entry, stream);
  return state;
}

void handle_stream(Monitor& monitor, Entry& entry, int stream) {
  LogPump& pump = entry.pumps[stream];
  if (!pump.is_open()) return;
  switch (pump_stream(monitor, entry, stream)) {
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
