// The network functions against a real kernel. Each case runs on a thread that has moved into a
// network namespace of its own, so that the host's network stays untouched and everything that a
// case makes dies with it. Needs CAP_SYS_ADMIN.
#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "native/addon/netlink_link.h"
#include "native/addon/network.h"

namespace {

using coracle::BridgeSpec;
using coracle::connect_pod;
using coracle::ensure_bridge;
using coracle::NetError;
using coracle::VethSpec;
using namespace coracle::netlink;

struct Fd {
  int value = -1;
  explicit Fd(int fd) : value(fd) {}
  Fd(Fd&& other) : value(std::exchange(other.value, -1)) {}
  ~Fd() {
    if (value >= 0) ::close(value);
  }
};

int link_flags(const char* name) {
  Fd control(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  ::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  return ::ioctl(control.value, SIOCGIFFLAGS, &request) == 0 ? request.ifr_flags : -1;
}

// Runs `body` on a thread in a fresh network namespace.
void in_new_namespace(const std::function<void()>& body) {
  std::thread([&] {
    REQUIRE(::unshare(CLONE_NEWNET) == 0);
    body();
  }).join();
}

// A network namespace that lives as long as its descriptors.
struct Pod {
  Fd netns{-1}, netlink{-1};

  Pod() {
    in_new_namespace([this] {
      netns.value = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
      netlink.value = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    });
    REQUIRE(netns.value >= 0);
    REQUIRE(netlink.value >= 0);
  }
  // Runs `body` inside; doctest's assertions work on any thread.
  void run(const std::function<void()>& body) const {
    std::thread([&] {
      REQUIRE(::setns(netns.value, CLONE_NEWNET) == 0);
      body();
    }).join();
  }
  std::vector<std::string> links() const {
    std::vector<std::string> names;
    run([&] {
      struct if_nameindex* all = ::if_nameindex();
      for (auto* one = all; one->if_index != 0; ++one) names.emplace_back(one->if_name);
      ::if_freenameindex(all);
    });
    return names;
  }
};

VethSpec veth_to(const Pod& pod, std::string host_name, std::string address) {
  VethSpec spec;
  spec.host_name = std::move(host_name);
  spec.pod_name = "eth0";
  spec.bridge = "br0";
  spec.mtu = 1400;
  spec.mac = "ca:c1:0a:58:00:05";
  spec.mac[16] = address[address.find('/') - 1];
  spec.addresses = {std::move(address)};
  spec.gateways = {"10.88.0.1"};
  spec.pod_netlink_fd = pod.netlink.value;
  return spec;
}

const BridgeSpec kBridge{"br0", {"10.88.0.1/16"}, 1400};

void check_ok(const NetError& error) {
  CHECK_MESSAGE(error.code == 0, error.step, " ", error.path, ": ", strerror(error.code));
}

// A TCP listener of the calling thread's namespace, on any address.
Fd listen_on(uint16_t port) {
  Fd listener(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in6 any{};
  any.sin6_family = AF_INET6;
  any.sin6_port = htons(port);
  REQUIRE(::bind(listener.value, reinterpret_cast<sockaddr*>(&any), sizeof(any)) == 0);
  REQUIRE(::listen(listener.value, 8) == 0);
  return listener;
}

// 0 or the errno of connect(2) from the calling thread's namespace.
int connect_to(const char* ip, uint16_t port, int type = SOCK_STREAM) {
  const auto address = parse_address(ip);
  REQUIRE(address.has_value());
  Fd client(::socket(address->family, type | SOCK_CLOEXEC, 0));
  const timeval timeout{3, 0};
  ::setsockopt(client.value, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  v4.sin_family = AF_INET;
  v6.sin6_family = AF_INET6;
  v4.sin_port = v6.sin6_port = htons(port);
  memcpy(&v4.sin_addr, address->bytes.data(), 4);
  memcpy(&v6.sin6_addr, address->bytes.data(), 16);
  const bool is_v4 = address->family == AF_INET;
  const auto* target =
      is_v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  return ::connect(client.value, target, is_v4 ? sizeof(v4) : sizeof(v6)) == 0 ? 0 : errno;
}

// Connecting a datagram socket looks the route up and sends nothing.
bool has_route_to(const char* ip) { return connect_to(ip, 53, SOCK_DGRAM) == 0; }

}  // namespace

TEST_SUITE("netlink" * doctest::skip(geteuid() != 0)) {
  TEST_CASE("addresses and MACs are read strictly") {
    CHECK(parse_address("10.88.0.5/16")->prefix == 16);
    CHECK(parse_address("10.88.0.5")->prefix == 32);
    CHECK(parse_address("fd00::5/64")->prefix == 64);
    CHECK(parse_address("::")->prefix == 128);
    for (const char* bad : {"", "10.88.0", "10.88.0.5/", "10.88.0.5/33", "10.88.0.5/1x", "::/129",
                            "10.88.0.5/-1", "10.88.0.256", "/16", "10.88.0.5/300"}) {
      CHECK_MESSAGE(!parse_address(bad), bad);
    }
    CHECK(parse_mac("ca:C1:0a:58:00:05").has_value());
    for (const char* bad : {"", "ca:c1:0a:58:00", "ca-c1-0a-58-00-05", "ca:c1:0a:58:00:0g",
                            "ca:c1:0a:58:00: 5", "ca:c1:0a:58:00:-5"}) {
      CHECK_MESSAGE(!parse_mac(bad), bad);
    }
    CHECK(valid_link_name("coracle0"));
    for (const char* bad : {"", ".", "..", "a/b", "a b", "a:1", "sixteen-bytes-xx"}) {
      CHECK_MESSAGE(!valid_link_name(bad), bad);
    }
  }

  TEST_CASE("a cut-off attribute is never read past its end") {
    const uint8_t bytes[] = {12, 0, 1, 0, 'a', 'b'};
    for (size_t n = 0; n <= sizeof(bytes); ++n) CHECK(!find_attribute({bytes, n}, 1));
    const uint8_t no_nul[] = {6, 0, 1, 0, 'a', 'b'};
    CHECK(string_attribute(no_nul, 1) == "ab");
  }

  TEST_CASE("a bridge is made once and completed afterwards") {
    in_new_namespace([] {
      check_ok(ensure_bridge({"br0", {"10.88.0.1/16"}, 1400}));
      CHECK((link_flags("br0") & IFF_UP) != 0);
      check_ok(ensure_bridge({"br0", {"10.88.0.1/16", "fd00:88::1/64"}, 1300}));

      Socket socket;
      REQUIRE(socket.open().ok());
      Link link;
      REQUIRE(get_link(socket, "br0", link).ok());
      CHECK(link.kind == "bridge");
      CHECK(link.mtu == 1300);
      Message request(RTM_GETADDR, 0, ifaddrmsg{});
      std::vector<Reply> replies;
      REQUIRE(socket.dump(request, replies).ok());
      int wanted = 0;
      for (const Reply& reply : replies) {
        ifaddrmsg body{};
        ByteSpan attributes;
        REQUIRE(read_body(reply.payload, body, attributes));
        const auto address = find_attribute(attributes, IFA_ADDRESS);
        REQUIRE(address.has_value());
        if (body.ifa_family == AF_INET && body.ifa_prefixlen == 16) ++wanted;
        if (body.ifa_family == AF_INET6 && body.ifa_prefixlen == 64 && (*address)[0] == 0xfd) {
          ++wanted;
          CHECK((body.ifa_flags & IFA_F_TENTATIVE) == 0);
        }
      }
      CHECK(wanted == 2);
    });
  }

  TEST_CASE("parallel callers agree on one bridge") {
    in_new_namespace([] {
      Fd netns(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
      std::vector<std::thread> callers;
      std::array<NetError, 8> errors;
      for (NetError& error : errors) {
        callers.emplace_back([&] {
          if (::setns(netns.value, CLONE_NEWNET) == 0)
            error = ensure_bridge(kBridge);
          else
            error.code = errno;
        });
      }
      for (std::thread& caller : callers) caller.join();
      for (const NetError& error : errors) check_ok(error);
    });
  }

  TEST_CASE("a name that is no bridge is refused and left alone") {
    in_new_namespace([] {
      const NetError error = ensure_bridge({"lo", {}, 0});
      CHECK(error.code == EEXIST);
      CHECK(error.path.find("lo") == 0);
      Pod pod;
      check_ok(ensure_bridge(kBridge));
      check_ok(connect_pod(veth_to(pod, "veth5", "10.88.0.5/16")));
      const NetError veth = ensure_bridge({"veth5", {}, 0});
      CHECK(veth.code == EEXIST);
      CHECK(veth.path == "veth5, which is a veth link already");
      CHECK(coracle::link_exists("veth5"));
    });
  }

  TEST_CASE("malformed specs fail before anything is made") {
    in_new_namespace([] {
      CHECK(ensure_bridge({"", {}, 0}).code == EINVAL);
      CHECK(ensure_bridge({"br0", {"10.88.0.1/99"}, 0}).code == EINVAL);
      CHECK(!coracle::link_exists("br0"));
      Pod pod;
      VethSpec spec = veth_to(pod, "veth5", "10.88.0.5/16");
      spec.mac = "nonsense";
      CHECK(connect_pod(spec).code == EINVAL);
      spec = veth_to(pod, "veth5", "10.88.0.5/16");
      CHECK(connect_pod(spec).code == ENODEV);  // no bridge
      spec.pod_netlink_fd = -1;
      CHECK(connect_pod(spec).code == EBADF);
      Fd udp(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      spec.pod_netlink_fd = udp.value;
      CHECK(connect_pod(spec).code == EPROTOTYPE);
      Fd own(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
      spec.pod_netlink_fd = own.value;
      CHECK(connect_pod(spec).path == "the host's");
      CHECK(pod.links() == std::vector<std::string>{"lo"});
    });
  }

  TEST_CASE("pods reach each other and the host, over IPv4 and IPv6") {
    in_new_namespace([] {
      check_ok(ensure_bridge({"br0", {"10.88.0.1/16", "fd00:88::1/64"}, 1400}));
      Pod first, second;
      VethSpec spec = veth_to(first, "veth5", "10.88.0.5/16");
      spec.addresses.push_back("fd00:88::5/64");
      spec.gateways.push_back("fd00:88::1");
      check_ok(connect_pod(spec));
      check_ok(connect_pod(veth_to(second, "veth6", "10.88.0.6/16")));

      Fd on_host = listen_on(7001), on_first{-1};
      first.run([&] {
        Fd listener = listen_on(7002);
        std::swap(on_first.value, listener.value);
      });
      first.run([] {
        CHECK(connect_to("10.88.0.1", 7001) == 0);
        CHECK(connect_to("fd00:88::1", 7001) == 0);
        CHECK(connect_to("10.88.0.6", 7009) == ECONNREFUSED);
        CHECK(has_route_to("192.0.2.1"));
        CHECK(has_route_to("2001:db8::1"));
      });
      second.run([] { CHECK(connect_to("10.88.0.5", 7002) == 0); });
      CHECK(connect_to("10.88.0.5", 7002) == 0);
      CHECK(connect_to("fd00:88::5", 7002) == 0);
    });
  }

  TEST_CASE("a failure inside the pod removes the pair and says why") {
    in_new_namespace([] {
      check_ok(ensure_bridge(kBridge));
      Pod pod;
      VethSpec spec = veth_to(pod, "veth5", "10.88.0.5/16");
      spec.gateways = {"192.0.2.1"};
      const NetError error = connect_pod(spec);
      CHECK(error.code == ENETUNREACH);
      CHECK(error.step == "add the pod's default route");
      CHECK(error.path == "192.0.2.1 (kernel: Nexthop has invalid gateway)");
      CHECK(!coracle::link_exists("veth5"));
      CHECK(pod.links() == std::vector<std::string>{"lo"});
      // And the same pod can be connected after all.
      check_ok(connect_pod(veth_to(pod, "veth5", "10.88.0.5/16")));
    });
  }

  TEST_CASE("a taken name is reported and the link that has it survives") {
    in_new_namespace([] {
      check_ok(ensure_bridge(kBridge));
      Pod first, second;
      check_ok(connect_pod(veth_to(first, "veth5", "10.88.0.5/16")));
      CHECK(connect_pod(veth_to(second, "veth5", "10.88.0.6/16")).code == EEXIST);
      CHECK(connect_pod(veth_to(first, "veth6", "10.88.0.6/16")).code == EEXIST);  // eth0
      CHECK(coracle::link_exists("veth5"));
      CHECK(!coracle::link_exists("veth6"));
      CHECK(second.links() == std::vector<std::string>{"lo"});
    });
  }

  TEST_CASE("the pair dies with the pod, and deleting what is gone is no error") {
    in_new_namespace([] {
      check_ok(ensure_bridge(kBridge));
      {
        Pod pod;
        check_ok(connect_pod(veth_to(pod, "veth5", "10.88.0.5/16")));
        CHECK(coracle::link_exists("veth5"));
      }
      for (int i = 0; i < 300 && coracle::link_exists("veth5"); ++i) ::usleep(10'000);
      CHECK(!coracle::link_exists("veth5"));
      check_ok(coracle::delete_link("veth5"));
      check_ok(coracle::delete_link("br0"));
      CHECK(!coracle::link_exists("br0"));
    });
  }
}
