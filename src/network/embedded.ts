import { createHash } from 'node:crypto';
import { closeSync } from 'node:fs';
import { CoracleError, invalid, messageOf, throwIfAborted } from '../errors.ts';
import type { Addon } from '../native/types.ts';
import {
  formatAddress,
  formatSubnet,
  gatewayOf,
  parseAddress,
  parseSubnet,
  podRange,
  type Subnet,
} from './cidr.ts';
import { forwardingBlocked } from './forward-policy.ts';
import { type AddressTable, HostLocal } from './host-local.ts';
import { HostPorts } from './host-ports.ts';
import { chooseSubnet, hostRoutes, type Route, uplinkMtu } from './host-routes.ts';
import { routeLoopback, setHostSysctls } from './host-sysctls.ts';
import type {
  AttachRequest,
  LivePod,
  NetworkReadiness,
  PodNetwork,
  PodNetworkProvider,
} from './index.ts';
import {
  DEFAULT_BRIDGE,
  installMasquerade,
  probeMasquerade,
  removeMasquerade,
} from './masquerade.ts';

export interface EmbeddedNetworkOptions {
  readonly addon: Pick<
    Addon,
    'ensureBridge' | 'connectPod' | 'deleteLink' | 'linkExists' | 'spawn' | 'deleteUdpFlows'
  >;
  readonly addresses: AddressTable;
  /** Name of the bridge, at most 15 bytes; default "coracle0". */
  readonly bridge?: string | undefined;
  /**
   * IPv4, "10.88.0.0/16". Absent: one that collides with no route, chosen once and kept. "none":
   * pods have IPv6 alone.
   */
  readonly subnet?: string | undefined;
  /** IPv6, "fd00:88::/64". Absent: pods have no IPv6 addresses but link-local ones. */
  readonly subnet6?: string | undefined;
  /** Bytes. Absent: that of the link behind the default route, or 1500. */
  readonly mtu?: number | undefined;
  readonly log?: { warn(fields: object, message: string): void } | undefined;
  /** Change the host's sysctls; tests put their own here. */
  readonly setHostSysctls?: typeof setHostSysctls;
  readonly routeLoopback?: typeof routeLoopback;
}

/** How long `ready` believes that bridge and rules are as they were made, ms. */
const VERIFY_AFTER_MS = 60_000;
const POD_LINK = 'eth0';

// socket(2) and netlink(7), the same on every architecture that Node runs on but MIPS.
const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0o2000000;
const NETLINK_ROUTE = 0;

interface HostSide {
  readonly subnets: readonly Subnet[];
  readonly mtu: number;
  /** What does not work; empty if all does. */
  readonly degraded: string;
  readonly madeAt: number;
}

/**
 * The network of a host without CNI configuration: one bridge, a veth pair for each pod, addresses
 * from the store, masquerade and host ports by nftables. Nothing is made on the host before the
 * first pod needs it. Limits of bandwidth are not kept.
 */
export class EmbeddedNetwork implements PodNetworkProvider {
  readonly #options: EmbeddedNetworkOptions;
  readonly #bridge: string;
  readonly #addresses: HostLocal;
  readonly #ports: HostPorts;
  #hostSide: Promise<HostSide> | undefined;
  /** Why the host side could not be made; empty if it could or was not tried. */
  #failure = '';

  /** @throws InvalidArgument for a malformed or too small subnet, bridge name or MTU. */
  constructor(options: EmbeddedNetworkOptions) {
    this.#options = options;
    this.#bridge = options.bridge ?? DEFAULT_BRIDGE;
    // It becomes part of a file name and of an nft script.
    if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/.test(this.#bridge)) {
      throw invalid('network.bridge', this.#bridge, 'is not a link name of 1 to 15 letters');
    }
    const { mtu, subnet, subnet6 } = options;
    if (mtu !== undefined && !(Number.isInteger(mtu) && mtu >= 576 && mtu <= 65535)) {
      throw invalid('network.mtu', mtu, 'is not between 576 and 65535');
    }
    if (subnet !== undefined && subnet !== 'none') readSubnet('network.subnet', subnet, 4);
    if (subnet6 !== undefined) readSubnet('network.subnet6', subnet6, 6);
    if (subnet === 'none' && subnet6 === undefined) {
      throw invalid('network.subnet', subnet, 'needs network.subnet6');
    }
    this.#addresses = new HostLocal(options.addresses);
    this.#ports = new HostPorts({ routeLoopback, ...options, bridge: this.#bridge });
  }

  /** Tries a failed set-up again, and repairs what others have removed. */
  async ready(): Promise<NetworkReadiness> {
    if (!this.#hostSide && !this.#failure) return { ok: true, reason: await probeMasquerade() };
    return this.#verified(VERIFY_AFTER_MS);
  }

  async #verified(maxAgeMs: number): Promise<NetworkReadiness> {
    try {
      const { degraded } = await this.#ensureHostSide(maxAgeMs);
      return { ok: true, reason: join([degraded, this.#ports.problem]) };
    } catch (error) {
      return { ok: false, reason: messageOf(error) };
    }
  }

  async attach(request: AttachRequest): Promise<PodNetwork> {
    const { sandboxId, hostPorts, signal } = request;
    if (this.#addresses.holds(sandboxId)) {
      throw new CoracleError('AlreadyExists', `sandbox ${sandboxId} is attached already`);
    }
    this.#ports.reserve(sandboxId, hostPorts);
    try {
      const side = await this.#ensureHostSide(Number.POSITIVE_INFINITY);
      const ips = await this.#addresses.allocate(sandboxId, side.subnets);
      throwIfAborted(signal);
      // First, since a link cannot be taken back without waiting for the kernel.
      await this.#ports.open(sandboxId, ips);
      throwIfAborted(signal);
      this.#tellLimits(request);
      return await this.#connect(request, side, ips);
    } catch (error) {
      // What cannot be taken back now is still the sandbox's, until a later `detach`.
      await this.detach(sandboxId).catch(() => {});
      throw error;
    }
  }

  /** As a CNI network without the bandwidth plugin has it: such a pod runs, unlimited. */
  #tellLimits({ sandboxId, bandwidth }: AttachRequest): void {
    const { ingress, egress } = bandwidth;
    if (ingress === undefined && egress === undefined) return;
    const fields = { id: sandboxId, ingress, egress };
    this.#options.log?.warn(fields, 'the embedded network does not limit the traffic of pods');
  }

  async #connect(
    { sandboxId, monitor, signal }: AttachRequest,
    { subnets, mtu }: HostSide,
    ips: readonly string[],
  ): Promise<PodNetwork> {
    const mac = macOf(ips[0] ?? '');
    const gateways = subnets.map((subnet) => formatAddress(gatewayOf(subnet)));
    const namespace = await monitor;
    throwIfAborted(signal);
    const socket = await namespace.socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
    try {
      await this.#options.addon.connectPod({
        hostName: hostLinkName(sandboxId),
        podName: POD_LINK,
        bridge: this.#bridge,
        podPid: namespace.pid,
        mtu,
        mac,
        addresses: subnets.map((subnet, i) => `${ips[i]}/${subnet.prefix}`),
        gateways,
        podNetlinkFd: socket,
      });
    } finally {
      closeSync(socket);
    }
    return { ips: [...ips], interfaceName: POD_LINK, mac, gateway: gateways[0] ?? '' };
  }

  /**
   * The veth pair is not touched: it dies with the pod's namespace. An address is free once no
   * host port leads to it any more.
   */
  async detach(sandboxId: string): Promise<void> {
    await this.#ports.close(sandboxId);
    await this.#addresses.release(sandboxId);
  }

  /** What is left of the host side is made again, for the living and without the dead. */
  async recover(live: readonly LivePod[]): Promise<void> {
    const own = live.filter((pod) => this.#addresses.holds(pod.sandboxId));
    await this.#addresses.reclaim(own.map((pod) => pod.sandboxId));
    if (own.length === 0 && !this.#options.addon.linkExists(this.#bridge)) return;
    this.#ports.adopt(own);
    await this.#verified(0);
  }

  describe(): Record<string, unknown> {
    const { subnet, subnet6 } = this.#options;
    const record = this.#options.addresses.get('subnet');
    return {
      network: 'embedded',
      bridge: this.#bridge,
      subnet: subnet ?? (record?.kind === 'subnet' ? record.subnet : ''),
      subnet6: subnet6 ?? '',
      pods: this.#addresses.size,
    };
  }

  async close(): Promise<void> {}

  /**
   * Removes the bridge and the nftables table, whoever made them; the next pod makes them anew.
   *
   * @throws FailedPrecondition while a pod is attached.
   */
  async cleanup(): Promise<void> {
    if (this.#addresses.size > 0) {
      throw new CoracleError(
        'FailedPrecondition',
        `the network of bridge ${this.#bridge} is used by ${this.#addresses.size} pods`,
      );
    }
    await this.#hostSide?.catch(() => {});
    this.#hostSide = undefined;
    this.#ports.adopt([]);
    await this.#ports.restore([]);
    const failure = await removeMasquerade(this.#options.addon, this.#bridge);
    if (this.#options.addon.linkExists(this.#bridge)) {
      await this.#options.addon.deleteLink(this.#bridge);
    }
    if (failure) throw new CoracleError('Internal', failure);
  }

  /** Bridge, forwarding, rules: made once, by whoever comes first; again when gone or too old. */
  async #ensureHostSide(maxAgeMs: number): Promise<HostSide> {
    const before = this.#hostSide;
    if (before) {
      const side = await before;
      const fresh = performance.now() - side.madeAt < maxAgeMs;
      if (fresh && this.#options.addon.linkExists(this.#bridge)) return side;
    }
    // Someone else may have started while we waited.
    if (this.#hostSide === before || !this.#hostSide) {
      const making = this.#makeHostSide();
      this.#hostSide = making;
      making.then(
        () => {
          this.#failure = '';
        },
        (error: unknown) => {
          this.#failure = messageOf(error);
          if (this.#hostSide === making) this.#hostSide = undefined;
        },
      );
    }
    return this.#hostSide;
  }

  async #makeHostSide(): Promise<HostSide> {
    const { addon } = this.#options;
    const routes = await hostRoutes();
    const subnets = await this.#subnets(routes);
    const mtu = this.#options.mtu ?? (await uplinkMtu(routes));
    await addon.ensureBridge({
      name: this.#bridge,
      addresses: subnets.map((s) => `${formatAddress(gatewayOf(s))}/${s.prefix}`),
      mtu,
    });
    const ipv6 = subnets.some((subnet) => subnet.family === 6);
    const setSysctls = this.#options.setHostSysctls ?? setHostSysctls;
    const [reasons, ...others] = await Promise.all([
      setSysctls({ bridge: this.#bridge, ipv6, routes }),
      installMasquerade(addon, { bridge: this.#bridge, subnets }),
      forwardingBlocked(addon, this.#bridge),
      this.#ports.restore(subnets).then(() => '', messageOf),
    ]);
    return { subnets, mtu, degraded: join([...reasons, ...others]), madeAt: performance.now() };
  }

  async #subnets(routes: readonly Route[]): Promise<Subnet[]> {
    const { subnet, subnet6 } = this.#options;
    return [
      ...(subnet === 'none' ? [] : [await this.#subnet4(subnet, routes)]),
      ...(subnet6 === undefined ? [] : [readSubnet('network.subnet6', subnet6, 6)]),
    ];
  }

  async #subnet4(subnet: string | undefined, routes: readonly Route[]): Promise<Subnet> {
    if (subnet !== undefined) return readSubnet('network.subnet', subnet, 4);
    return this.#chosenSubnet(routes);
  }

  /** A choice is kept for good: pods that outlive a restart live in it. */
  async #chosenSubnet(routes: readonly Route[]): Promise<Subnet> {
    const { addresses } = this.#options;
    const record = addresses.get('subnet');
    const kept = record?.kind === 'subnet' ? parseSubnet(record.subnet) : undefined;
    if (kept) return kept;
    const chosen = chooseSubnet(routes, this.#bridge);
    if (!chosen) {
      throw new CoracleError(
        'Unavailable',
        'every subnet that pods could have collides with a route of this host: configure network.subnet',
      );
    }
    await addresses.put('subnet', { kind: 'subnet', subnet: formatSubnet(chosen) });
    return chosen;
  }
}

function join(reasons: readonly string[]): string {
  return reasons.filter((reason) => reason !== '').join('; ');
}

function readSubnet(field: string, text: string, family: 4 | 6): Subnet {
  const subnet = parseSubnet(text);
  if (!subnet || subnet.family !== family) {
    throw invalid(field, text, `is not an IPv${family} subnet ("ADDRESS/PREFIX")`);
  }
  const { first, last } = podRange(subnet);
  if (first > last) throw invalid(field, text, 'leaves no address for pods');
  return subnet;
}

/** Unique among the host's links: "cor" and 48 bits of a hash, 15 bytes, all that a name takes. */
export function hostLinkName(sandboxId: string): string {
  return `cor${createHash('sha256').update(sandboxId).digest('hex').slice(0, 12)}`;
}

/**
 * A locally administered address derived from the IP, so that the neighbour entries others keep
 * for an address stay right when a new pod gets it.
 */
export function macOf(ip: string): string {
  const low = Number((parseAddress(ip)?.value ?? 0n) & 0xffffffffn);
  const bytes = [0xca, 0xc1, low >>> 24, (low >>> 16) & 0xff, (low >>> 8) & 0xff, low & 0xff];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
