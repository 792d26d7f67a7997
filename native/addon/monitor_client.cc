#include "native/addon/monitor_client.h"

#include <utility>

#include "native/addon/sealed_executable.h"

namespace coracle {
namespace {

constexpr const char* kStep = "monitor connection";
// Messages handled in one turn of the loop; the poll is level-triggered and comes back.
constexpr int kMessagesPerTurn = 64;

Failure to_failure(const Outcome& outcome) {
  if (outcome.code == 0 && outcome.step.empty()) return {};
  std::string step(outcome.step.data, outcome.step.size);
  return Failure{outcome.code, step.empty() ? "monitor" : std::move(step),
                 std::string(outcome.path.data, outcome.path.size)};
}

void answer(const ReplyHandler& reply, const Failure& failure) {
  Reader nothing(nullptr, 0);
  std::vector<Fd> no_fds;
  reply(failure, nothing, no_fds);
}

}  // namespace

std::shared_ptr<MonitorClient> MonitorClient::open(uv_loop_t* loop, Fd socket,
                                                   std::span<uint8_t> buffer, Events events) {
  std::shared_ptr<MonitorClient> client(
      new MonitorClient(std::move(socket), buffer, std::move(events)));
  client->poll_ = std::make_unique<UvPoll>(loop, client->socket_.get(),
                                           [raw = client.get()](int bits) { raw->on_poll(bits); });
  if (!client->poll_->valid()) return nullptr;
  client->watch();
  return client;
}

void MonitorClient::request(MessageType type, std::vector<uint8_t> body, std::vector<Fd> fds,
                            ReplyHandler reply) {
  if (closed()) return answer(reply, Failure{ENOTCONN, kStep, {}});
  Message message{Frame{}, std::move(body), std::move(fds)};
  message.frame.type = type;
  if (message.body.size() > kMaxBody) return answer(reply, Failure{E2BIG, "encode request", {}});
  if (message.body.size() > kInlineBody) {
    Fd memfd;
    Failure failure = sealed_memfd("coracle-request", message.body, false, &memfd);
    if (failure.failed()) return answer(reply, failure);
    message.frame.flags |= kBodyInFd;
    message.fds.insert(message.fds.begin(), std::move(memfd));
    message.body.clear();
  }
  if (message.fds.size() > kMaxFds) return answer(reply, Failure{E2BIG, "encode request", {}});
  // 0 is for events; a sequence that is still awaited after 2^32 requests is stepped over.
  while (next_sequence_ == 0 || pending_.contains(next_sequence_)) next_sequence_++;
  message.frame.sequence = next_sequence_++;
  if (pending_.empty()) poll_->ref();
  pending_.emplace(message.frame.sequence, std::move(reply));
  queue_.push_back(std::move(message));
  if (queue_.size() == 1) flush();
}

void MonitorClient::flush() {
  const std::shared_ptr<MonitorClient> self = shared_from_this();
  while (!closed() && !queue_.empty()) {
    const Message& message = queue_.front();
    bool again = false;
    const Failure failure =
        send_message(socket_.get(), message.frame, message.body, message.fds, &again);
    if (again) break;
    const uint32_t sequence = message.frame.sequence;
    queue_.pop_front();
    // A broken connection shows when it is read, together with the replies still in it.
    if (failure.failed()) fail(sequence, failure);
  }
  if (!closed()) watch();
}

void MonitorClient::watch() { poll_->start(UV_READABLE | (queue_.empty() ? 0 : UV_WRITABLE)); }

void MonitorClient::on_poll(int events) {
  const std::shared_ptr<MonitorClient> self = shared_from_this();
  if ((events & (UV_READABLE | UV_DISCONNECT)) != 0) receive();
  if ((events & UV_WRITABLE) != 0 && !closed() && !queue_.empty()) flush();
}

void MonitorClient::receive() {
  for (int count = 0; count < kMessagesPerTurn && !closed(); count++) {
    Received received;
    const Failure failure = receive_message(socket_.get(), buffer_, &received);
    if (failure.failed()) return disconnect(failure.code, true);
    if (received.state == Received::State::kAgain) return;
    if (received.state == Received::State::kEnd) return disconnect(ECONNRESET, true);
    dispatch(received);
  }
}

void MonitorClient::dispatch(Received& received) {
  Reader body(received.body.data, received.body.size);
  if (received.frame.sequence == 0) {
    if (received.frame.type != MessageType::kExit) return;  // an event of a newer monitor
    EntryStatus status;
    decode(body, status);
    if (!body.ok()) return disconnect(EPROTO, true);
    return events_.exit(status);
  }
  const ReplyHandler reply = take(received.frame.sequence);
  if (reply == nullptr) return;
  Outcome outcome;
  decode(body, outcome);
  const Failure failure = body.ok() ? to_failure(outcome) : Failure{EPROTO, kStep, {}};
  reply(failure, body, received.fds);
}

ReplyHandler MonitorClient::take(uint32_t sequence) {
  auto found = pending_.find(sequence);
  if (found == pending_.end()) return nullptr;
  ReplyHandler reply = std::move(found->second);
  pending_.erase(found);
  if (pending_.empty() && poll_ != nullptr) poll_->unref();
  return reply;
}

void MonitorClient::fail(uint32_t sequence, const Failure& failure) {
  const ReplyHandler reply = take(sequence);
  if (reply != nullptr) answer(reply, failure);
}

void MonitorClient::disconnect(int code, bool tell) {
  if (closed()) return;
  const std::shared_ptr<MonitorClient> self = shared_from_this();
  poll_.reset();
  socket_ = Fd();
  queue_.clear();
  const std::unordered_map<uint32_t, ReplyHandler> pending = std::exchange(pending_, {});
  for (const auto& [sequence, reply] : pending) answer(reply, Failure{code, kStep, {}});
  if (tell) events_.close();
}

void MonitorClient::close() { disconnect(ECANCELED, false); }

void MonitorClient::abandon() {
  pending_.clear();
  disconnect(ECANCELED, false);
}

}  // namespace coracle
