// The addon's end of a connection to a pod's monitor: requests, replies and exit events.
#ifndef CORACLE_NATIVE_ADDON_MONITOR_CLIENT_H_
#define CORACLE_NATIVE_ADDON_MONITOR_CLIENT_H_

#include <uv.h>

#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "native/addon/monitor_socket.h"
#include "native/addon/uv_poll.h"

namespace coracle {

// Called once for each request. `body` stands after the Outcome, which `failure` tells; both are
// valid during the call only. Descriptors left in `fds` are closed.
using ReplyHandler =
    std::function<void(const Failure& failure, Reader& body, std::vector<Fd>& fds)>;

// Loop thread only. Keeps the loop alive while a reply is awaited, and not otherwise.
class MonitorClient : public std::enable_shared_from_this<MonitorClient> {
 public:
  struct Events {
    std::function<void(const EntryStatus&)> exit;
    std::function<void()> close;  // the monitor's end is gone; not called for close()
  };

  // `buffer` holds kReceiveBuffer bytes and may serve every client of a loop.
  static std::shared_ptr<MonitorClient> open(uv_loop_t* loop, Fd socket, std::span<uint8_t> buffer,
                                             Events events);

  // Sends a request, or queues it until the socket takes it. `fds` are closed once sent.
  // `reply` gets a "monitor connection" failure if the connection ends first.
  void request(MessageType type, std::vector<uint8_t> body, std::vector<Fd> fds,
               ReplyHandler reply);

  bool closed() const { return !socket_; }
  // Ends the connection; what is pending fails with ECANCELED.
  void close();
  // Ends the connection and calls nobody: the JavaScript environment is being torn down.
  void abandon();

 private:
  struct Message {
    Frame frame;
    std::vector<uint8_t> body;
    std::vector<Fd> fds;
  };

  MonitorClient(Fd socket, std::span<uint8_t> buffer, Events events)
      : socket_(std::move(socket)), buffer_(buffer), events_(std::move(events)) {}

  void on_poll(int events);
  void receive();
  void flush();
  void dispatch(Received& received);
  void disconnect(int code, bool tell);
  // Takes the request out of `pending_` before its handler runs.
  ReplyHandler take(uint32_t sequence);
  void fail(uint32_t sequence, const Failure& failure);
  void watch();

  Fd socket_;
  std::span<uint8_t> buffer_;
  Events events_;
  std::unique_ptr<UvPoll> poll_;  // destroyed before socket_ is closed
  std::deque<Message> queue_;     // what the socket did not take yet
  std::unordered_map<uint32_t, ReplyHandler> pending_;
  uint32_t next_sequence_ = 1;
};

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_MONITOR_CLIENT_H_
