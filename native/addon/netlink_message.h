// Building and reading rtnetlink messages (netlink(7), rtnetlink(7)).
#ifndef CORACLE_NATIVE_ADDON_NETLINK_MESSAGE_H_
#define CORACLE_NATIVE_ADDON_NETLINK_MESSAGE_H_

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace coracle::netlink {

using ByteSpan = std::span<const uint8_t>;

// One request. The socket fills in the sequence number when it sends.
class Message {
 public:
  // `body` is the fixed header of the message type: ifinfomsg, ifaddrmsg, rtmsg.
  template <typename Body>
  Message(uint16_t type, uint16_t flags, const Body& body) : bytes_(NLMSG_HDRLEN) {
    header()->nlmsg_type = type;
    header()->nlmsg_flags = NLM_F_REQUEST | flags;
    append(&body, sizeof(body));
  }

  void put(uint16_t type, ByteSpan value) {
    const nlattr attribute{static_cast<uint16_t>(NLA_HDRLEN + value.size()), type};
    append(&attribute, sizeof(attribute));
    append(value.data(), value.size());
  }
  void put_u8(uint16_t type, uint8_t value) { put(type, {&value, 1}); }
  void put_u32(uint16_t type, uint32_t value) {
    put(type, {reinterpret_cast<const uint8_t*>(&value), sizeof(value)});
  }
  // With the terminating NUL that the kernel's NLA_NUL_STRING policies ask for.
  void put_string(uint16_t type, const std::string& value) {
    put(type, {reinterpret_cast<const uint8_t*>(value.c_str()), value.size() + 1});
  }
  // Bytes without an attribute header: the ifinfomsg inside VETH_INFO_PEER.
  template <typename Body>
  void put_body(const Body& body) {
    append(&body, sizeof(body));
  }

  // Attributes put while a Nest lives are its content.
  class Nest {
   public:
    Nest(Message& message, uint16_t type) : message_(message), start_(message.bytes_.size()) {
      message_.put(type, {});
    }
    ~Nest() {
      const uint16_t length = static_cast<uint16_t>(message_.bytes_.size() - start_);
      memcpy(message_.bytes_.data() + start_, &length, sizeof(length));
    }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    Message& message_;
    const size_t start_;
  };

  // The wire form, with its length and this sequence number filled in.
  ByteSpan finish(uint32_t sequence, uint16_t more_flags) {
    header()->nlmsg_len = static_cast<uint32_t>(bytes_.size());
    header()->nlmsg_seq = sequence;
    header()->nlmsg_flags |= more_flags;
    return bytes_;
  }

 private:
  nlmsghdr* header() { return reinterpret_cast<nlmsghdr*>(bytes_.data()); }
  void append(const void* data, size_t size) {
    const auto* from = static_cast<const uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }

  std::vector<uint8_t> bytes_;
};

// The first attribute of this type. `attributes` may be cut off anywhere.
inline std::optional<ByteSpan> find_attribute(ByteSpan attributes, uint16_t type) {
  while (attributes.size() >= sizeof(nlattr)) {
    nlattr header;
    memcpy(&header, attributes.data(), sizeof(header));
    if (header.nla_len < NLA_HDRLEN || header.nla_len > attributes.size()) break;
    if ((header.nla_type & NLA_TYPE_MASK) == type) {
      return attributes.subspan(NLA_HDRLEN, header.nla_len - NLA_HDRLEN);
    }
    attributes = attributes.subspan(std::min<size_t>(NLA_ALIGN(header.nla_len), attributes.size()));
  }
  return std::nullopt;
}

// A string attribute without its NUL; empty where it is missing.
inline std::string_view string_attribute(ByteSpan attributes, uint16_t type) {
  const auto value = find_attribute(attributes, type);
  if (!value) return {};
  const auto* text = reinterpret_cast<const char*>(value->data());
  return {text, strnlen(text, value->size())};
}

inline std::optional<uint32_t> u32_attribute(ByteSpan attributes, uint16_t type) {
  const auto value = find_attribute(attributes, type);
  if (!value || value->size() != sizeof(uint32_t)) return std::nullopt;
  uint32_t number;
  memcpy(&number, value->data(), sizeof(number));
  return number;
}

// The fixed header of a received message's payload; false if the payload is too short.
template <typename Body>
bool read_body(ByteSpan payload, Body& body, ByteSpan& attributes) {
  if (payload.size() < sizeof(Body)) return false;
  memcpy(&body, payload.data(), sizeof(Body));
  attributes = payload.subspan(std::min<size_t>(NLMSG_ALIGN(sizeof(Body)), payload.size()));
  return true;
}

}  // namespace coracle::netlink

#endif  // CORACLE_NATIVE_ADDON_NETLINK_MESSAGE_H_
