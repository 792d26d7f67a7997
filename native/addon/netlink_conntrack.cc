// delete_udp_flows, over ctnetlink.
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

#include "native/addon/netlink_link.h"

namespace coracle {
namespace {

using netlink::Address;
using netlink::ByteSpan;
using netlink::find_attribute;
using netlink::Message;
using netlink::Reply;
using netlink::Socket;
using netlink::Status;

constexpr uint16_t message_type(uint16_t verb) { return NFNL_SUBSYS_CTNETLINK << 8 | verb; }

bool same(ByteSpan a, ByteSpan b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin());
}

// One direction of a flow, as seen on the wire.
struct Tuple {
  ByteSpan source, destination;
  uint8_t protocol = 0;
  uint16_t destination_port = 0;
};

std::optional<Tuple> read_tuple(ByteSpan attributes) {
  const auto ip = find_attribute(attributes, CTA_TUPLE_IP);
  const auto proto = find_attribute(attributes, CTA_TUPLE_PROTO);
  if (!ip || !proto) return std::nullopt;
  const bool v4 = find_attribute(*ip, CTA_IP_V4_SRC).has_value();
  const auto source = find_attribute(*ip, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC);
  const auto destination = find_attribute(*ip, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST);
  const auto number = find_attribute(*proto, CTA_PROTO_NUM);
  const auto port = find_attribute(*proto, CTA_PROTO_DST_PORT);
  if (!source || !destination || !number || number->empty() || !port || port->size() < 2) {
    return std::nullopt;
  }
  const uint16_t destination_port = static_cast<uint16_t>((*port)[0] << 8 | (*port)[1]);
  return Tuple{*source, *destination, (*number)[0], destination_port};
}

// Whether the entry stands in the way of `wanted`. `original` is its first direction's attribute.
bool is_stale(ByteSpan attributes, const UdpFlows& wanted, const std::vector<Address>& pods,
              ByteSpan& original) {
  const auto first = find_attribute(attributes, CTA_TUPLE_ORIG);
  const auto second = find_attribute(attributes, CTA_TUPLE_REPLY);
  if (!first || !second) return false;
  const auto there = read_tuple(*first);
  const auto back = read_tuple(*second);
  if (!there || !back || there->protocol != IPPROTO_UDP) return false;
  const auto& ports = wanted.ports;
  if (std::find(ports.begin(), ports.end(), there->destination_port) == ports.end()) return false;
  original = *first;
  if (same(back->source, there->destination) && same(back->destination, there->source)) {
    return wanted.untranslated;
  }
  return std::any_of(pods.begin(), pods.end(),
                     [&](const Address& pod) { return same(pod.span(), back->source); });
}

// The id keeps a new flow of the same addresses from being taken for the one that was seen.
Status delete_flow(Socket& socket, const nfgenmsg& body, ByteSpan attributes, ByteSpan original) {
  Message request(message_type(IPCTNL_MSG_CT_DELETE), 0,
                  nfgenmsg{body.nfgen_family, NFNETLINK_V0, 0});
  request.put(CTA_TUPLE_ORIG | NLA_F_NESTED, original);
  for (const uint16_t type : {CTA_ZONE, CTA_ID}) {
    if (const auto value = find_attribute(attributes, type)) request.put(type, *value);
  }
  const Status status = socket.exchange(request);
  return status.code == ENOENT ? Status{} : status;
}

}  // namespace

NetError delete_udp_flows(const UdpFlows& wanted) {
  std::vector<Address> pods;
  for (const std::string& text : wanted.pods) {
    const auto address = netlink::parse_address(text);
    if (!address) return {EINVAL, "read pod address", text};
    pods.push_back(*address);
  }
  Socket socket;
  Status status = socket.open(NETLINK_NETFILTER);
  if (!status.ok()) return netlink::net_error(status, "open netfilter socket", {});
  Message request(message_type(IPCTNL_MSG_CT_GET), 0, nfgenmsg{AF_UNSPEC, NFNETLINK_V0, 0});
  std::vector<Reply> entries;
  status = socket.dump(request, entries);
  if (!status.ok()) return netlink::net_error(status, "list connections", {});
  for (const Reply& entry : entries) {
    nfgenmsg body;
    ByteSpan attributes, original;
    if (!netlink::read_body(entry.payload, body, attributes)) continue;
    if (!is_stale(attributes, wanted, pods, original)) continue;
    status = delete_flow(socket, body, attributes, original);
    if (!status.ok()) return netlink::net_error(status, "delete connection", {});
  }
  return {};
}

}  // namespace coracle
