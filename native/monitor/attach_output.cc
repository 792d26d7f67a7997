// What a process writes, for attach clients. A client is written to without blocking, and one that
// takes no more is cut off: the log, the process and other clients never wait for it.
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "native/monitor/monitor.h"
#include "native/monitor/watch.h"

namespace coracle {
namespace {

// How far a client may be behind. A pipe grows when it is first found full, and stays small where
// the kernel refuses (fs.pipe-user-pages-soft, pipe(7)).
constexpr int kGrownPipe = 1024 * 1024;

enum class Sent : uint8_t { kAll, kNothing, kPart, kBroken };

bool grow(AttachClient& client) {
  if (client.grown) return false;
  client.grown = true;
  return fcntl(client.output.get(), F_SETPIPE_SZ, kGrownPipe) > 0;
}

Sent send_frame(AttachClient& client, AttachStream stream, const uint8_t* bytes, size_t size) {
  AttachFrame head{stream, static_cast<uint32_t>(size)};
  const size_t total = sizeof(head) + size;
  for (size_t done = 0; done < total;) {
    const size_t of_head = done < sizeof(head) ? done : sizeof(head);
    const size_t of_bytes = done - of_head;
    const iovec vectors[2] = {{reinterpret_cast<uint8_t*>(&head) + of_head, sizeof(head) - of_head},
                              {const_cast<uint8_t*>(bytes) + of_bytes, size - of_bytes}};
    const ssize_t count = writev(client.output.get(), vectors, size != 0 ? 2 : 1);
    if (count > 0) {
      done += static_cast<size_t>(count);
    } else if (errno == EAGAIN) {
      if (!grow(client)) return done == 0 ? Sent::kNothing : Sent::kPart;
    } else if (errno != EINTR) {
      return Sent::kBroken;
    }
  }
  return Sent::kAll;
}

void close_output(Monitor& monitor, AttachClient& client) {
  unwatch(monitor, Source::kOutput, client.output.get());
  client.output.reset();
  release_client(monitor, client);
}

void send(Monitor& monitor, AttachClient& client, int stream, const uint8_t* bytes, size_t size) {
  if (!client.output || (client.streams & (1u << stream)) == 0) return;
  const auto name = stream == 0 ? AttachStream::kStdout : AttachStream::kStderr;
  if (send_frame(client, name, bytes, size) != Sent::kAll) close_output(monitor, client);
}

// Calls `visit` for the clients of an entry, which may release the visited one.
template <typename Visit>
void each_client(Monitor& monitor, const Entry& entry, Visit visit) {
  const uint32_t slot = monitor.entries.slot_of(&entry);
  monitor.clients.each([&](AttachClient& client) {
    if (client.slot == slot && client.entry_generation == entry.generation) visit(client);
  });
}

// A reader that is behind has all that was written, and only waits for the last word.
void end_output(Monitor& monitor, AttachClient& client) {
  if (send_frame(client, AttachStream::kEnd, nullptr, 0) != Sent::kNothing) {
    return close_output(monitor, client);
  }
  client.ending = true;
  unwatch(monitor, Source::kOutput, client.output.get());
  watch(monitor, Source::kOutput, client.output.get(), monitor.clients.place_of(&client),
        client.generation, EPOLLOUT);
}

}  // namespace

void copy_to_clients(Monitor& monitor, Entry& entry, int stream, const uint8_t* bytes,
                     size_t size) {
  each_client(monitor, entry,
              [&](AttachClient& client) { send(monitor, client, stream, bytes, size); });
}

void end_client_stream(Monitor& monitor, Entry& entry, int stream) {
  each_client(monitor, entry,
              [&](AttachClient& client) { send(monitor, client, stream, nullptr, 0); });
}

void tell_ended_streams(Monitor& monitor, Entry& entry, AttachClient& client) {
  for (int stream = 0; stream < 2; ++stream) {
    if (!entry.pumps[stream].is_open()) send(monitor, client, stream, nullptr, 0);
  }
}

void end_clients(Monitor& monitor, Entry& entry) {
  if (entry.clients == 0) return;
  each_client(monitor, entry, [&](AttachClient& client) {
    client.entry_generation = 0;
    const uint32_t generation = client.generation;
    close_input(monitor, client);
    if (client.generation == generation && client.output) end_output(monitor, client);
  });
  entry.clients = 0;
}

void handle_output(Monitor& monitor, AttachClient& client, uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) return close_output(monitor, client);
  if (client.ending) end_output(monitor, client);
}

}  // namespace coracle
