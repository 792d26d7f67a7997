#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>

#include <utility>

#include "native/monitor/find_entry.h"
#include "native/monitor/monitor.h"
#include "native/monitor/watch.h"

namespace coracle {
namespace {

constexpr uint8_t kMaxClients = 16;  // of one process

// Only a pipe: of other files it is not sure that writing to them never blocks.
Fd take_pipe(Message& message, int index) {
  Fd pipe = message.fds.take(index);
  struct stat info {};
  if (!pipe || fstat(pipe.get(), &info) != 0 || !S_ISFIFO(info.st_mode)) return Fd();
  fcntl(pipe.get(), F_SETFL, fcntl(pipe.get(), F_GETFL) | O_NONBLOCK);
  return pipe;
}

// Whether the other end of a pipe is closed: POLLHUP where it wrote, POLLERR where it read.
bool has_left(const Fd& end) {
  pollfd other{end.get(), 0, 0};
  return !end || (poll(&other, 1, 0) == 1 && (other.revents & (POLLHUP | POLLERR)) != 0);
}

// Clients that have left, but whose last input nobody reads, make room for others.
void drop_left_clients(Monitor& monitor) {
  monitor.clients.each([&](AttachClient& client) {
    if (!has_left(client.output) || !has_left(client.input)) return;
    const uint32_t place = monitor.clients.place_of(&client);
    const uint32_t generation = client.generation;
    handle_output(monitor, client, EPOLLERR);
    if (monitor.clients.at(place, generation) != nullptr) close_input(monitor, client);
  });
}

AttachClient* add_client(Monitor& monitor, Entry& entry) {
  AttachClient* client = entry.clients < kMaxClients ? monitor.clients.add() : nullptr;
  if (client != nullptr) return client;
  drop_left_clients(monitor);
  return entry.clients < kMaxClients ? monitor.clients.add() : nullptr;
}

}  // namespace

// Fails with ESRCH once the process has ended, EAGAIN where it has too many clients, EOPNOTSUPP
// where its output is moved elsewhere without being read (LogMode::kRaw).
void handle_attach(Monitor& monitor, const PendingReply& from, Message& message) {
  AttachRequest request;
  Entry* entry = find_entry(monitor, from, message, "attach", &request);
  if (entry == nullptr) return;
  if (entry->phase < Phase::kParked || entry->phase > Phase::kRunning || entry->deleting) {
    return reply_error(monitor, from, ESRCH, "attach", entry->id);
  }
  if (entry->log_mode == LogMode::kRaw && request.flags != 0) {
    return reply_error(monitor, from, EOPNOTSUPP, "attach", entry->id);
  }
  Fd output = take_pipe(message, request.output_fd);
  Fd input = take_pipe(message, request.input_fd);
  if (!output || (request.input_fd >= 0 && !input)) {
    return reply_error(monitor, from, EBADF, "attach", entry->id);
  }
  AttachClient* client = add_client(monitor, *entry);
  if (client == nullptr) return reply_error(monitor, from, EAGAIN, "attach", entry->id);
  ++entry->clients;
  client->slot = monitor.entries.slot_of(entry);
  client->entry_generation = entry->generation;
  client->streams = request.flags & (kAttachStdout | kAttachStderr);
  // No event is asked for: that its reader is gone is always reported, as EPOLLERR.
  watch(monitor, Source::kOutput, output.get(), monitor.clients.place_of(client),
        client->generation, 0);
  client->output = std::move(output);
  if (input) open_input(monitor, *entry, *client, std::move(input));
  tell_ended_streams(monitor, *entry, *client);
  reply_done(monitor, from);
}

}  // namespace coracle
