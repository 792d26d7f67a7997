// Pod networking with rtnetlink: the bridge of the embedded network and the veth pairs on it.
//
// Every function blocks (rtnetlink waits for the kernel's RTNL lock) and belongs on a worker
// thread, except link_exists. Each opens its own socket, so calls may run in parallel. All of them
// act on the network namespace of the calling thread and need CAP_NET_ADMIN there.
#ifndef CORACLE_NATIVE_ADDON_NETWORK_H_
#define CORACLE_NATIVE_ADDON_NETWORK_H_

#include <stdint.h>

#include <string>
#include <vector>

namespace coracle {

// `code` is an errno(3), 0 for success. `step` says in words what failed; `path` names the object
// and, where the kernel gave one, its own explanation (NLMSGERR_ATTR_MSG of netlink(7)).
struct NetError {
  int code = 0;
  std::string step, path;
};

struct BridgeSpec {
  std::string name;                    // at most 15 bytes
  std::vector<std::string> addresses;  // "10.88.0.1/16", "fd00::1/64"
  uint32_t mtu = 0;                    // bytes; 0 leaves the kernel's choice
};

struct VethSpec {
  std::string host_name, pod_name, bridge;
  int pod_pid = 0;  // any process in the pod's network namespace
  uint32_t mtu = 0;
  std::string mac;                     // of the pod's end, "0a:58:0a:58:00:05"
  std::vector<std::string> addresses;  // of the pod's end, "10.88.0.5/16"
  std::vector<std::string> gateways;   // "10.88.0.1": a default route through each
  // An AF_NETLINK/NETLINK_ROUTE socket that belongs to the pod's namespace. Borrowed: the caller
  // closes it, and uses it for nothing else meanwhile.
  int pod_netlink_fd = -1;
};

// Makes the bridge, or completes an existing one: STP off, MTU, addresses, up. Addresses that the
// bridge has beyond the wanted ones stay, since pods of an earlier configuration may use them.
// EEXIST: the name belongs to a link that is no bridge. EINVAL: a malformed name or address.
NetError ensure_bridge(const BridgeSpec& spec);

// Makes a veth pair whose far end is born inside the pod's namespace, plugs the host's end into
// the bridge and configures the pod's end. After an error nothing of the pair is left.
// ENODEV: no such bridge. EEXIST: `host_name` is taken (that link is left alone), or the pod has
// a link called `pod_name` already.
//
// There is no opposite: the pair dies with the pod's namespace, in the background, whereas an
// explicit deletion waits for an RCU grace period (about 20 ms).
NetError connect_pod(const VethSpec& spec);

// Deletes a link and waits for it to be gone (about 20 ms). A missing link is no error.
NetError delete_link(const std::string& name);

struct UdpFlows {
  std::vector<uint16_t> ports;    // of the host, which the flows were first sent to
  std::vector<std::string> pods;  // flows that lead to one of these addresses
  bool untranslated = false;      // flows that lead to where they were sent
};

// Makes the kernel forget tracked UDP flows to these ports. A flow keeps the translation that it
// began with for as long as its client keeps sending, whatever rules come and go. Reads the whole
// table of connections. EINVAL: a malformed address; needs CONFIG_NF_CT_NETLINK.
NetError delete_udp_flows(const UdpFlows& wanted);

// Looks a name up without taking the RTNL lock: cheap enough for the event loop.
bool link_exists(const std::string& name);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_NETWORK_H_
