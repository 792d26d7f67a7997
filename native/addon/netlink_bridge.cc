// ensure_bridge, delete_link, link_exists.
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/random.h>

#include "native/addon/netlink_link.h"

namespace coracle {
namespace {

using netlink::Address;
using netlink::Link;
using netlink::Message;
using netlink::Socket;
using netlink::Status;

Status create_bridge(Socket& socket, const BridgeSpec& spec) {
  Message request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  request.put_string(IFLA_IFNAME, spec.name);
  if (spec.mtu != 0) request.put_u32(IFLA_MTU, spec.mtu);
  // Without an address of its own a bridge takes the lowest of its ports' and changes it as pods
  // come and go, which leaves wrong neighbour entries in the other pods. Locally administered.
  netlink::Mac mac{};
  if (::getrandom(mac.data(), mac.size(), 0) == static_cast<ssize_t>(mac.size())) {
    mac[0] = static_cast<uint8_t>((mac[0] & 0xfc) | 0x02);
    request.put(IFLA_ADDRESS, mac);
  }
  {
    Message::Nest info(request, IFLA_LINKINFO);
    request.put_string(IFLA_INFO_KIND, "bridge");
    Message::Nest data(request, IFLA_INFO_DATA);
    request.put_u32(IFLA_BR_STP_STATE, 0);
  }
  return socket.exchange(request);
}

// Two callers may make the same bridge at once: the loser of the race finds the winner's.
Status get_or_create(Socket& socket, const BridgeSpec& spec, Link& link) {
  Status status = get_link(socket, spec.name, link);
  if (status.code != ENODEV) return status;
  status = create_bridge(socket, spec);
  if (!status.ok() && status.code != EEXIST) return status;
  return get_link(socket, spec.name, link);
}

Status disable_stp(Socket& socket, int index) {
  ifinfomsg body{};
  body.ifi_index = index;
  Message request(RTM_NEWLINK, 0, body);
  {
    Message::Nest info(request, IFLA_LINKINFO);
    request.put_string(IFLA_INFO_KIND, "bridge");
    Message::Nest data(request, IFLA_INFO_DATA);
    request.put_u32(IFLA_BR_STP_STATE, 0);
  }
  return socket.exchange(request);
}

}  // namespace

NetError ensure_bridge(const BridgeSpec& spec) {
  if (!netlink::valid_link_name(spec.name)) return {EINVAL, "read bridge name", spec.name};
  std::vector<Address> addresses;
  for (const std::string& text : spec.addresses) {
    const auto address = netlink::parse_address(text);
    if (!address) return {EINVAL, "read bridge address", text};
    addresses.push_back(*address);
  }

  Socket socket;
  Status status = socket.open();
  if (!status.ok()) return net_error(status, "open netlink socket", "");
  Link link;
  status = get_or_create(socket, spec, link);
  if (!status.ok()) return net_error(status, "create bridge", spec.name);
  if (link.kind != "bridge") {
    const std::string kind = link.kind.empty() ? "another kind of" : "a " + link.kind;
    return {EEXIST, "create bridge", spec.name + ", which is " + kind + " link already"};
  }
  status = disable_stp(socket, link.index);
  if (!status.ok()) return net_error(status, "turn off STP of bridge", spec.name);
  for (size_t i = 0; i < addresses.size(); ++i) {
    status = add_address(socket, link.index, addresses[i]);
    if (!status.ok()) {
      return net_error(status, "add address " + spec.addresses[i] + " to bridge", spec.name);
    }
  }
  if (!link.up || (spec.mtu != 0 && link.mtu != spec.mtu)) {
    status = set_link_up(socket, link.index, spec.mtu);
    if (!status.ok()) return net_error(status, "bring up bridge", spec.name);
  }
  return {};
}

NetError delete_link(const std::string& name) {
  if (!netlink::valid_link_name(name)) return {EINVAL, "read link name", name};
  Socket socket;
  Status status = socket.open();
  if (!status.ok()) return net_error(status, "open netlink socket", "");
  status = delete_link_by_name(socket, name);
  if (status.ok() || status.code == ENODEV) return {};
  return net_error(status, "delete link", name);
}

bool link_exists(const std::string& name) {
  return netlink::valid_link_name(name) && ::if_nametoindex(name.c_str()) != 0;
}

}  // namespace coracle
