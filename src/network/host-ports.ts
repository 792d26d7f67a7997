import { access } from 'node:fs/promises';
import { CoracleError, messageOf } from '../errors.ts';
import type { Addon } from '../native/types.ts';
import type { Subnet } from './cidr.ts';
import { describeHostPort, sharesHostPort } from './host-port-list.ts';
import {
  addLines,
  deleteLines,
  hostPortRuleset,
  type OpenPorts,
  removeScript,
} from './host-port-rules.ts';
import type { HostPort, LivePod } from './index.ts';
import { NFT_MISSING, runNft } from './nft.ts';

/** There once connections are tracked, on a kernel that tracks those of SCTP. */
const SCTP_TRACKED = '/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_established';

export interface HostPortsOptions {
  readonly addon: Pick<Addon, 'spawn' | 'deleteUdpFlows'>;
  readonly bridge: string;
  /** Lets the bridge route 127.0.0.0/8, or stops that. */
  readonly routeLoopback: (bridge: string, on: boolean) => Promise<void>;
}

/**
 * The host's ports that lead to pods, by destination NAT.
 *
 * A port is taken from `reserve` to the end of `close`, by one pod at a time. The table is there
 * while a port is open. Changes that come together share one transaction, and where the table is
 * not as it was left, because somebody has flushed it, it is written anew as a whole.
 */
export class HostPorts {
  readonly #options: HostPortsOptions;
  /** By sandbox id. Without addresses while not open. */
  readonly #pods = new Map<string, OpenPorts>();
  #subnets: readonly Subnet[] = [];
  /** There may be a table. */
  #present = false;
  /** The table holds what we believe. */
  #written = false;
  #problem = '';
  #turn: Promise<void> = Promise.resolve();
  #lines: string[] = [];
  #batch: Promise<void> | undefined;

  constructor(options: HostPortsOptions) {
    this.#options = options;
  }

  /** What does not work though ports are open; empty if all does. */
  get problem(): string {
    return this.#problem;
  }

  /**
   * Takes ports for a pod; nothing is made yet.
   *
   * @throws FailedPrecondition naming the port, and the sandbox that has it.
   */
  reserve(sandboxId: string, hostPorts: readonly HostPort[]): void {
    if (hostPorts.length === 0) return;
    for (const [owner, pod] of this.#pods) {
      const port = hostPorts.find((each) => pod.hostPorts.some((p) => sharesHostPort(each, p)));
      if (!port) continue;
      throw new CoracleError(
        'FailedPrecondition',
        `host ${describeHostPort(port)} leads to sandbox ${owner} already`,
      );
    }
    this.#pods.set(sandboxId, { hostPorts, ips: [] });
  }

  /**
   * Opens what was reserved; nothing to do for a pod without host ports.
   *
   * @throws FailedPrecondition for a port that this host or this pod cannot have; Unavailable
   *   where the rules cannot be made. The ports stay reserved.
   */
  async open(sandboxId: string, ips: readonly string[]): Promise<void> {
    const pod = this.#pods.get(sandboxId);
    if (!pod) return;
    await requireReachable(pod.hostPorts, ips);
    const open = { ...pod, ips };
    this.#pods.set(sandboxId, open);
    try {
      await this.#commit(addLines(this.#options.bridge, open));
      await this.#forgetFlows(open, true);
    } catch (error) {
      this.#pods.set(sandboxId, pod);
      throw error;
    }
  }

  /**
   * Closes and gives back a pod's ports; an unknown id is no error.
   *
   * @throws Unavailable where the rules cannot be removed; they are then still the pod's.
   */
  async close(sandboxId: string): Promise<void> {
    const pod = this.#pods.get(sandboxId);
    if (!pod) return;
    this.#pods.set(sandboxId, { ...pod, ips: [] });
    await this.#commit(deleteLines(this.#options.bridge, pod));
    await this.#forgetFlows(pod, false);
    this.#pods.delete(sandboxId);
  }

  /** After a restart: the ports of the living are open, and no others. `restore` makes it so. */
  adopt(live: readonly LivePod[]): void {
    this.#present = true;
    for (const { sandboxId, ips, hostPorts } of live) {
      if (hostPorts.length > 0) this.#pods.set(sandboxId, { hostPorts, ips });
    }
  }

  /**
   * Writes the table anew, or removes it where no port is open. To be called before the first
   * `open`, and whenever somebody else may have changed the table.
   *
   * @throws Unavailable where that fails.
   */
  async restore(subnets: readonly Subnet[]): Promise<void> {
    this.#subnets = subnets;
    this.#written = false;
    await this.#commit([]);
  }

  /**
   * Where flows cannot be forgotten they end a while after their client has fallen silent (30 s to
   * 2 min, kernel, networking/nf_conntrack-sysctl): no reason to refuse or to keep a pod.
   */
  async #forgetFlows({ hostPorts, ips }: OpenPorts, untranslated: boolean): Promise<void> {
    const ports = hostPorts.filter((p) => p.protocol === 'udp').map((p) => p.hostPort);
    if (ports.length === 0) return;
    const flows = { ports, pods: [...ips], untranslated };
    await this.#options.addon.deleteUdpFlows(flows).catch(() => {});
  }

  /** Joins the transaction that comes next, and waits for it. */
  #commit(lines: readonly string[]): Promise<void> {
    this.#lines.push(...lines);
    if (!this.#batch) {
      this.#batch = this.#turn.then(() => {
        const taken = this.#lines;
        this.#lines = [];
        this.#batch = undefined;
        return this.#write(taken);
      });
      this.#turn = this.#batch.catch(() => {});
    }
    return this.#batch;
  }

  async #write(lines: readonly string[]): Promise<void> {
    const { addon, bridge, routeLoopback } = this.#options;
    const open = [...this.#pods.values()].filter((pod) => pod.ips.length > 0);
    if (open.length === 0) {
      if (!this.#present) return;
      this.#written = false;
      // What guards the loopback addresses goes after what exposes them.
      await routeLoopback(bridge, false);
      this.#require(await runNft(addon, removeScript(bridge)));
      this.#present = false;
      return;
    }
    const changed =
      this.#written && (lines.length === 0 || (await runNft(addon, lines.join('\n'))) === '');
    if (!changed) {
      const script = hostPortRuleset({ bridge, subnets: this.#subnets, open });
      const failure = await runNft(addon, script);
      // Without nft there is no table to remove: a pod that could not have its ports can go.
      this.#present ||= failure !== NFT_MISSING;
      this.#require(failure);
      this.#written = true;
    }
    this.#problem = await routeLoopback(bridge, true).then(
      () => '',
      (error: unknown) => `host ports are not reached over 127.0.0.1: ${messageOf(error)}`,
    );
  }

  #require(failure: string): void {
    if (failure === '') return;
    this.#written = false;
    throw new CoracleError('Unavailable', `host ports: ${failure}`);
  }
}

async function requireReachable(
  hostPorts: readonly HostPort[],
  ips: readonly string[],
): Promise<void> {
  for (const port of hostPorts) {
    const ipv6 = port.hostIp.includes(':');
    if (port.hostIp !== '' && !ips.some((ip) => ip.includes(':') === ipv6)) {
      throw new CoracleError(
        'FailedPrecondition',
        `host ${describeHostPort(port)}: the pod has no IPv${ipv6 ? 6 : 4} address`,
      );
    }
    if (port.hostIp === '::1') {
      throw new CoracleError(
        'FailedPrecondition',
        `host ${describeHostPort(port)}: nothing leads from ::1 to a pod`,
      );
    }
    if (port.protocol === 'sctp' && !(await exists(SCTP_TRACKED))) {
      throw new CoracleError(
        'FailedPrecondition',
        `host ${describeHostPort(port)}: this kernel does not track SCTP (CONFIG_NF_CT_PROTO_SCTP)`,
      );
    }
  }
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
