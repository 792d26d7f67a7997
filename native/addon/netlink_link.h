// The rtnetlink requests that the network functions are made of, and the text forms they read.
#ifndef CORACLE_NATIVE_ADDON_NETLINK_LINK_H_
#define CORACLE_NATIVE_ADDON_NETLINK_LINK_H_

#include <stdint.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <string>

#include "native/addon/netlink_message.h"
#include "native/addon/netlink_socket.h"
#include "native/addon/network.h"

namespace coracle::netlink {

// An IP address and, where the text had one, its prefix length.
struct Address {
  uint8_t family = 0;  // AF_INET or AF_INET6
  uint8_t prefix = 0;  // the whole address where the text had no "/n"
  std::array<uint8_t, 16> bytes{};
  size_t size() const { return family == AF_INET ? 4 : 16; }
  ByteSpan span() const { return {bytes.data(), size()}; }
};
using Mac = std::array<uint8_t, 6>;

// "10.88.0.5/16", "fd00::5/64", "10.88.0.1".
std::optional<Address> parse_address(const std::string& text);
std::optional<Mac> parse_mac(const std::string& text);
// What dev_valid_name() of the kernel accepts as the name of a link.
bool valid_link_name(const std::string& name);

struct Link {
  int index = 0;
  uint32_t mtu = 0;
  bool up = false;
  std::string kind;  // IFLA_INFO_KIND: "bridge", "veth"; empty for hardware
};

// ENODEV where the socket's namespace has no such link.
Status get_link(Socket& socket, const std::string& name, Link& link);
// Sets IFF_UP and, unless it is 0, the MTU.
Status set_link_up(Socket& socket, int index, uint32_t mtu);
Status delete_link_by_name(Socket& socket, const std::string& name);
// Without duplicate address detection: the allocator vouches for the address. EEXIST is success.
Status add_address(Socket& socket, int index, const Address& address);
Status add_default_route(Socket& socket, int index, const Address& gateway);

NetError net_error(const Status& status, std::string step, std::string object);

}  // namespace coracle::netlink

#endif  // CORACLE_NATIVE_ADDON_NETLINK_LINK_H_
