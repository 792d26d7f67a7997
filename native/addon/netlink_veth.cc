// connect_pod.
#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "native/addon/netlink_link.h"

namespace coracle {
namespace {

using netlink::Address;
using netlink::Link;
using netlink::Message;
using netlink::Socket;
using netlink::Status;

// VethSpec, read and checked before anything is made.
struct Pair {
  netlink::Mac mac;
  std::vector<Address> addresses, gateways;
};

NetError read_spec(const VethSpec& spec, Pair& pair) {
  for (const std::string* name : {&spec.host_name, &spec.pod_name, &spec.bridge}) {
    if (!netlink::valid_link_name(*name)) return {EINVAL, "read link name", *name};
  }
  const auto mac = netlink::parse_mac(spec.mac);
  if (!mac) return {EINVAL, "read MAC address", spec.mac};
  pair.mac = *mac;
  for (const std::string& text : spec.addresses) {
    const auto address = netlink::parse_address(text);
    if (!address) return {EINVAL, "read pod address", text};
    pair.addresses.push_back(*address);
  }
  for (const std::string& text : spec.gateways) {
    const auto gateway = netlink::parse_address(text);
    if (!gateway || text.find('/') != std::string::npos) return {EINVAL, "read gateway", text};
    pair.gateways.push_back(*gateway);
  }
  return {};
}

// The pod's namespace as a descriptor. Asking the socket (SIOCGSKNS, kernel 4.10) cannot meet a
// recycled PID, and works wherever the monitor itself lives; -1 where only the PID is left.
class PodNamespace {
 public:
  explicit PodNamespace(int netlink_fd) : fd_(::ioctl(netlink_fd, SIOCGSKNS)) {}
  ~PodNamespace() {
    if (fd_ >= 0) ::close(fd_);
  }
  PodNamespace(const PodNamespace&) = delete;
  PodNamespace& operator=(const PodNamespace&) = delete;
  int fd() const { return fd_; }

  // A socket of our own namespace here would turn the host's links upside down.
  bool is_ours() const {
    struct stat theirs, ours;
    return fd_ >= 0 && ::fstat(fd_, &theirs) == 0 &&
           ::stat("/proc/thread-self/ns/net", &ours) == 0 && theirs.st_ino == ours.st_ino &&
           theirs.st_dev == ours.st_dev;
  }

 private:
  const int fd_;
};

// One request makes both ends, names them, enslaves the host's end and brings it up; a failure
// inside it leaves neither. (The far end cannot come up here: veth_open wants its peer first.)
//
// One queue each: a veth transmits without a queue lock, and newer kernels' default of a queue for
// each possible CPU costs memory and sysfs objects for each, in each pod.
Status create_pair(Socket& host, const VethSpec& spec, const Pair& pair, int bridge_index,
                   int namespace_fd) {
  ifinfomsg body{};
  body.ifi_flags = IFF_UP;
  body.ifi_change = IFF_UP;
  Message request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, body);
  request.put_string(IFLA_IFNAME, spec.host_name);
  if (spec.mtu != 0) request.put_u32(IFLA_MTU, spec.mtu);
  request.put_u32(IFLA_NUM_TX_QUEUES, 1);
  request.put_u32(IFLA_NUM_RX_QUEUES, 1);
  request.put_u32(IFLA_MASTER, static_cast<uint32_t>(bridge_index));
  {
    Message::Nest info(request, IFLA_LINKINFO);
    request.put_string(IFLA_INFO_KIND, "veth");
    Message::Nest data(request, IFLA_INFO_DATA);
    Message::Nest peer(request, VETH_INFO_PEER);
    request.put_body(ifinfomsg{});
    request.put_string(IFLA_IFNAME, spec.pod_name);
    request.put_u32(IFLA_NUM_TX_QUEUES, 1);
    request.put_u32(IFLA_NUM_RX_QUEUES, 1);
    request.put(IFLA_ADDRESS, pair.mac);
    if (spec.mtu != 0) request.put_u32(IFLA_MTU, spec.mtu);
    if (namespace_fd >= 0) {
      request.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(namespace_fd));
    } else {
      request.put_u32(IFLA_NET_NS_PID, static_cast<uint32_t>(spec.pod_pid));
    }
  }
  return host.exchange(request);
}

// Lets a pod reach itself through an address that is translated on the host.
Status set_hairpin(Socket& host, const std::string& name) {
  Message request(RTM_NEWLINK, 0, ifinfomsg{});
  request.put_string(IFLA_IFNAME, name);
  {
    Message::Nest info(request, IFLA_LINKINFO);
    request.put_string(IFLA_INFO_SLAVE_KIND, "bridge");
    Message::Nest data(request, IFLA_INFO_SLAVE_DATA);
    request.put_u8(IFLA_BRPORT_MODE, BRIDGE_MODE_HAIRPIN);
  }
  return host.exchange(request);
}

NetError configure_pod_end(Socket& pod, const VethSpec& spec, const Pair& pair) {
  Link link;
  Status status = get_link(pod, spec.pod_name, link);
  if (!status.ok()) return net_error(status, "find the pod's link", spec.pod_name);
  // Up before the routes: a route needs a link that is up.
  status = set_link_up(pod, link.index, 0);
  if (!status.ok()) return net_error(status, "bring up the pod's link", spec.pod_name);
  for (size_t i = 0; i < pair.addresses.size(); ++i) {
    status = add_address(pod, link.index, pair.addresses[i]);
    if (!status.ok()) return net_error(status, "add pod address", spec.addresses[i]);
  }
  for (size_t i = 0; i < pair.gateways.size(); ++i) {
    status = add_default_route(pod, link.index, pair.gateways[i]);
    if (!status.ok()) return net_error(status, "add the pod's default route", spec.gateways[i]);
  }
  return {};
}

}  // namespace

NetError connect_pod(const VethSpec& spec) {
  Pair pair;
  NetError error = read_spec(spec, pair);
  if (error.code != 0) return error;

  Socket host, pod;
  Status status = host.open();
  if (!status.ok()) return net_error(status, "open netlink socket", "");
  status = pod.borrow(spec.pod_netlink_fd);
  if (!status.ok()) return net_error(status, "use the pod's netlink socket", "");
  const PodNamespace pod_namespace(spec.pod_netlink_fd);
  if (pod_namespace.is_ours()) return {EINVAL, "check the pod's network namespace", "the host's"};
  if (pod_namespace.fd() < 0 && spec.pod_pid <= 0) {
    return {ESRCH, "find the pod's network namespace", ""};
  }

  Link bridge;
  status = get_link(host, spec.bridge, bridge);
  if (!status.ok()) return net_error(status, "find bridge", spec.bridge);
  status = create_pair(host, spec, pair, bridge.index, pod_namespace.fd());
  // Without the kernel's answer the pair may exist.
  if (status.code == ETIMEDOUT || status.code == ENOBUFS) {
    (void)delete_link_by_name(host, spec.host_name);
  }
  if (!status.ok()) return net_error(status, "create veth pair", spec.host_name);

  status = set_hairpin(host, spec.host_name);
  error = status.ok() ? configure_pod_end(pod, spec, pair)
                      : net_error(status, "set hairpin mode", spec.host_name);
  // The failure above is what the caller must learn, whatever becomes of this.
  if (error.code != 0) (void)delete_link_by_name(host, spec.host_name);
  return error;
}

}  // namespace coracle
