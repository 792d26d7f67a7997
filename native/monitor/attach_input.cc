// What attach clients send: relayed into stdin or the terminal. The client holds a pipe of its own
// and neither of these, so that it can break nothing of theirs, and what it sent arrives even when
// it leaves at once.
#include <fcntl.h>
#include <sys/epoll.h>

#include <utility>

#include "native/monitor/monitor.h"
#include "native/monitor/watch.h"

namespace coracle {
namespace {

// Bytes of one call: a line discipline looks at each of them.
constexpr size_t kInputChunk = 4096;

void stop_input(Monitor& monitor, AttachClient& client) {
  unwatch(monitor, Source::kInput, client.input.get());
  unwatch(monitor, Source::kInputTarget, client.copy.target());
  client.copy.close();
  client.input.reset();
}

// Neither a terminal nor a stdin that is not "once" ends with a client.
void end_input(Monitor& monitor, AttachClient& client) {
  Entry* entry = monitor.entries.at(client.slot, client.entry_generation);
  if (entry == nullptr || !entry->stdin_once || entry->process.terminal_fd >= 0) {
    return close_input(monitor, client);
  }
  entry->stdin_end.reset();
  const uint32_t slot = client.slot;
  const uint32_t generation = client.entry_generation;
  monitor.clients.each([&](AttachClient& each) {
    if (each.slot == slot && each.entry_generation == generation) close_input(monitor, each);
  });
}

}  // namespace

void open_input(Monitor& monitor, Entry& entry, AttachClient& client, Fd input) {
  const int terminal = entry.process.terminal_fd;
  const int held = terminal >= 0 ? terminal : entry.stdin_end.get();
  Fd target(held >= 0 ? fcntl(held, F_DUPFD_CLOEXEC, 3) : -1);
  // A stdin that is closed, or was never open, looks like one that closes: EPIPE.
  if (!target) return;
  client.input = std::move(input);
  fcntl(client.input.get(), F_SETFL, fcntl(client.input.get(), F_GETFL) | O_NONBLOCK);
  client.copy.open(std::move(target));
  watch(monitor, Source::kInput, client.input.get(), monitor.clients.place_of(&client),
        client.generation, EPOLLIN);
}

void close_input(Monitor& monitor, AttachClient& client) {
  if (!client.input) return;
  stop_input(monitor, client);
  release_client(monitor, client);
}

void release_client(Monitor& monitor, AttachClient& client) {
  if (client.output || client.input) return;
  Entry* entry = monitor.entries.at(client.slot, client.entry_generation);
  if (entry != nullptr) --entry->clients;
  monitor.clients.remove(&client);
}

void handle_input(Monitor& monitor, AttachClient& client) {
  if (!client.input) return;
  const RawCopy::Result result = client.copy.copy(client.input.get(), kInputChunk);
  if (client.copy.target() < 0) return close_input(monitor, client);  // nobody reads it any more
  switch (result.state) {
    case PumpState::kMore:
    case PumpState::kEmpty:
      break;
    case PumpState::kBlocked:
      // The source is left out meanwhile: its hang-up would be reported without end.
      unwatch(monitor, Source::kInput, client.input.get());
      watch(monitor, Source::kInputTarget, client.copy.target(), monitor.clients.place_of(&client),
            client.generation, EPOLLOUT);
      break;
    case PumpState::kEnded:
      end_input(monitor, client);
      break;
  }
}

void handle_input_target(Monitor& monitor, AttachClient& client) {
  if (!client.input) return;
  unwatch(monitor, Source::kInputTarget, client.copy.target());
  watch(monitor, Source::kInput, client.input.get(), monitor.clients.place_of(&client),
        client.generation, EPOLLIN);
}

}  // namespace coracle
