import type { MonitorConnection } from '../native/types.ts';

/** What a pod got. */
export interface PodNetwork {
  /** Without prefix lengths, the primary address first; empty on the host's network. */
  readonly ips: string[];
  /** The pod's own link, "eth0"; empty on the host's network. */
  readonly interfaceName: string;
  readonly mac: string;
  /** The default gateway of the primary address' family. */
  readonly gateway: string;
}

export interface AttachRequest {
  readonly sandboxId: string;
  /** A process inside the pod's network namespace. */
  readonly podPid: number;
  /** The pod's monitor, whose `sandbox` call has made the network namespace. */
  readonly connection: Pick<MonitorConnection, 'socket'>;
}

export interface NetworkReadiness {
  /** Whether pods can be attached. */
  readonly ok: boolean;
  /** Why not or, with `ok`, what is degraded; empty if nothing is. */
  readonly reason: string;
}

/** Something that connects pods. Calls for different sandboxes may run in parallel. */
export interface PodNetworkProvider {
  ready(): Promise<NetworkReadiness>;
  /** Connects a pod's namespace. After a failure nothing of it is left. */
  attach(request: AttachRequest): Promise<PodNetwork>;
  /** Gives back what a sandbox holds, once its namespaces are gone; an unknown id is no error. */
  detach(sandboxId: string): Promise<void>;
  /** After a restart: gives back what sandboxes hold that are not among the living. */
  recover(live: readonly string[]): Promise<void>;
}

/** Pods that share the host's network need nothing. */
export class HostNetwork implements PodNetworkProvider {
  async ready(): Promise<NetworkReadiness> {
    return { ok: true, reason: '' };
  }

  async attach(): Promise<PodNetwork> {
    return { ips: [], interfaceName: '', mac: '', gateway: '' };
  }

  async detach(): Promise<void> {}

  async recover(): Promise<void> {}
}
