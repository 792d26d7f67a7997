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

/** Whose pod it is, as plugins are told. */
export interface PodIdentity {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
}

/** A port of the host that leads to one of the pod; `hostPort` is never 0. */
export interface HostPort {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  readonly hostPort: number;
  /** The host's address that it is open on; empty for all. */
  readonly hostIp: string;
}

/** Limits of a pod's traffic, bits per second; absent means none. */
export interface Bandwidth {
  readonly ingress?: number;
  readonly egress?: number;
}

/** What networks need of a pod's monitor: its pid, and sockets in the pod's network namespace. */
export type PodMonitorSide = Pick<MonitorConnection, 'pid' | 'socket'>;

export interface AttachRequest {
  readonly sandboxId: string;
  readonly pod: PodIdentity;
  readonly hostPorts: readonly HostPort[];
  readonly bandwidth: Bandwidth;
  /** The pod's annotations, for CNI plugins that ask for them. */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** The parent of the pod's cgroup as CRI names it, for CNI plugins that ask for it. */
  readonly cgroupParent?: string | undefined;
  /**
   * The pod's monitor, a process in its network namespace. A promise resolves when the namespace is
   * there and what tells of the pod survives a loss of power: nothing is made in the one, or by
   * plugins, before; its rejection is passed on.
   */
  readonly monitor: PodMonitorSide | Promise<PodMonitorSide>;
  /** The caller has gone, or the pod is being stopped: the attachment is undone. */
  readonly signal?: AbortSignal | undefined;
}

/** A pod that has outlived a restart of the server. */
export interface LivePod {
  readonly sandboxId: string;
  readonly ips: readonly string[];
  readonly hostPorts: readonly HostPort[];
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
  /**
   * After a restart: gives back what sandboxes hold that are not among the living, and makes good
   * what the living have lost on the host meanwhile.
   */
  recover(live: readonly LivePod[]): Promise<void>;
  /** What a verbose Status shows: plain data. */
  describe(): Record<string, unknown>;
  /** Stops watching. Pods stay connected. */
  close(): Promise<void>;
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

  describe(): Record<string, unknown> {
    return {};
  }

  async close(): Promise<void> {}
}
