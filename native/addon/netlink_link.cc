#include "native/addon/netlink_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <charconv>

namespace coracle::netlink {

std::optional<Address> parse_address(const std::string& text) {
  const size_t slash = text.find('/');
  const std::string ip = text.substr(0, slash);
  Address address;
  address.family = ip.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (::inet_pton(address.family, ip.c_str(), address.bytes.data()) != 1) return std::nullopt;
  const uint8_t bits = static_cast<uint8_t>(address.size() * 8);
  address.prefix = bits;
  if (slash != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, address.prefix);
    if (error != std::errc() || stop != end || address.prefix > bits) return std::nullopt;
  }
  return address;
}

std::optional<Mac> parse_mac(const std::string& text) {
  if (text.size() != 17) return std::nullopt;
  Mac mac;
  for (size_t i = 0; i < mac.size(); ++i) {
    const char* digits = text.data() + 3 * i;
    const auto [stop, error] = std::from_chars(digits, digits + 2, mac[i], 16);
    if (error != std::errc() || stop != digits + 2) return std::nullopt;
    if (i + 1 < mac.size() && digits[2] != ':') return std::nullopt;
  }
  return mac;
}

bool valid_link_name(const std::string& name) {
  if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
  for (const unsigned char c : name) {
    if (c == '/' || c == ':' || c <= ' ') return false;
  }
  return true;
}

Status get_link(Socket& socket, const std::string& name, Link& link) {
  Message request(RTM_GETLINK, 0, ifinfomsg{});
  request.put_string(IFLA_IFNAME, name);
  request.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  std::vector<Reply> replies;
  Status status = socket.exchange(request, &replies);
  if (!status.ok()) return status;
  ifinfomsg body{};
  ByteSpan attributes;
  if (replies.empty() || !read_body(replies.front().payload, body, attributes)) {
    return {EBADMSG, {}};
  }
  link.index = body.ifi_index;
  link.up = (body.ifi_flags & IFF_UP) != 0;
  link.mtu = u32_attribute(attributes, IFLA_MTU).value_or(0);
  const auto info = find_attribute(attributes, IFLA_LINKINFO);
  link.kind = info ? string_attribute(*info, IFLA_INFO_KIND) : std::string_view{};
  return {};
}

Status set_link_up(Socket& socket, int index, uint32_t mtu) {
  ifinfomsg body{};
  body.ifi_index = index;
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  Message request(RTM_NEWLINK, 0, body);
  if (mtu != 0) request.put_u32(IFLA_MTU, mtu);
  return socket.exchange(request);
}

Status delete_link_by_name(Socket& socket, const std::string& name) {
  Message request(RTM_DELLINK, 0, ifinfomsg{});
  request.put_string(IFLA_IFNAME, name);
  return socket.exchange(request);
}

Status add_address(Socket& socket, int index, const Address& address) {
  ifaddrmsg body{};
  body.ifa_family = address.family;
  body.ifa_prefixlen = address.prefix;
  body.ifa_index = static_cast<uint32_t>(index);
  if (address.family == AF_INET6) body.ifa_flags = IFA_F_NODAD;
  Message request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, body);
  request.put(IFA_LOCAL, address.span());
  request.put(IFA_ADDRESS, address.span());
  if (address.family == AF_INET && address.prefix < 31) {
    uint32_t host_order;
    memcpy(&host_order, address.bytes.data(), sizeof(host_order));
    const uint32_t broadcast = htonl(ntohl(host_order) | (0xffffffffu >> address.prefix));
    request.put_u32(IFA_BROADCAST, broadcast);
  }
  Status status = socket.exchange(request);
  if (status.code == EEXIST) return {};
  return status;
}

Status add_default_route(Socket& socket, int index, const Address& gateway) {
  rtmsg body{};
  body.rtm_family = gateway.family;
  body.rtm_table = RT_TABLE_MAIN;
  body.rtm_protocol = RTPROT_STATIC;
  body.rtm_scope = RT_SCOPE_UNIVERSE;
  body.rtm_type = RTN_UNICAST;
  Message request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, body);
  request.put(RTA_GATEWAY, gateway.span());
  request.put_u32(RTA_OIF, static_cast<uint32_t>(index));
  return socket.exchange(request);
}

NetError net_error(const Status& status, std::string step, std::string object) {
  if (!status.kernel_text.empty()) object += " (kernel: " + status.kernel_text + ")";
  return {status.code, std::move(step), std::move(object)};
}

}  // namespace coracle::netlink
