import { CoracleError, messageOf, throwIfAborted } from '../../errors.ts';
import type { Addon } from '../../native/types.ts';
import { SerialQueue } from '../../store/serial-queue.ts';
import type {
  AttachRequest,
  LivePod,
  NetworkReadiness,
  PodNetwork,
  PodNetworkProvider,
} from '../index.ts';
import { addNetwork } from './add.ts';
import { Attachments, type CniAttachment, type CniResultTable } from './attachments.ts';
import { checkNetwork } from './check.ts';
import { type NetworkConf, parseConflist } from './conf.ts';
import { ConfDir } from './conf-dir.ts';
import { delNetwork } from './del.ts';
import { describeNetwork } from './describe.ts';
import type { PluginHost } from './exec.ts';
import { Gate } from './gate.ts';
import { type CniLog, SILENT } from './log.ts';
import { DEFAULT_NETNS_DIR, isNamespace, NetnsPins } from './netns-pin.ts';
import { capabilityArgs, cniArgs } from './request.ts';
import { podNetwork } from './result.ts';
import { statusOfNetwork } from './status.ts';
import { type CurrentNetwork, type SweepContext, sweep } from './sweep.ts';
import { PluginVersions } from './versions.ts';

export interface CniNetworkOptions {
  readonly addon: Pick<Addon, 'spawn' | 'runFileOps'>;
  /** Directory of network configurations; need not exist yet. */
  readonly confDir: string;
  /** Directories of plugins, searched in this order. */
  readonly binDirs: readonly string[];
  /** How long one call of a plugin may take, ms. */
  readonly timeoutMs: number;
  readonly results: CniResultTable;
  /** Where pods' network namespaces are pinned; default "/run/netns". */
  readonly netnsDir?: string | undefined;
  readonly log?: CniLog | undefined;
}

/** The pod's link. Its `lo` is up already: the monitor sees to that. */
const IF_NAME = 'eth0';
/** Attachments made or undone at once. */
const MAX_PARALLEL = 16;
/** How long an answer about readiness stands, ms. */
const READY_FOR_MS = 2_000;
/** How long `recover` keeps its caller waiting for the dead; it goes on afterwards, ms. */
const RECOVER_PATIENCE_MS = 5_000;

/**
 * Connects pods by the plugins of a CNI configuration (spec 0.1.0 to 1.1.0).
 *
 * What DEL needs is committed before the first plugin of ADD runs, and is kept until DEL has
 * succeeded: nothing that a plugin has handed out is forgotten, whoever fails or dies in between.
 */
export class CniNetwork implements PodNetworkProvider {
  readonly #options: CniNetworkOptions;
  readonly #host: PluginHost;
  readonly #conf: ConfDir;
  readonly #versions: PluginVersions;
  readonly #attachments: Attachments;
  readonly #pins: NetnsPins;
  readonly #log: CniLog;
  readonly #gate = new Gate(MAX_PARALLEL);
  /** Calls for one sandbox run one after another. */
  readonly #queues = new Map<string, SerialQueue>();
  #readiness: { answer: Promise<NetworkReadiness>; until: number } | undefined;
  /** The last failure of any call; empty if there was none. */
  #lastProblem = '';
  #closed = false;

  constructor(options: CniNetworkOptions) {
    const { addon, binDirs, timeoutMs } = options;
    this.#options = options;
    this.#host = { addon, binDirs, timeoutMs };
    this.#log = options.log ?? SILENT;
    this.#versions = new PluginVersions(this.#host);
    this.#attachments = new Attachments(options.results);
    this.#pins = new NetnsPins(addon, options.netnsDir ?? DEFAULT_NETNS_DIR);
    this.#conf = new ConfDir(options.confDir, ({ file, network, skipped }) => {
      this.#readiness = undefined;
      this.#log.info({ file, network: network?.name, skipped }, 'CNI configuration loaded');
    });
  }

  /** Reads the configuration and follows its changes, until `close`. */
  static async open(options: CniNetworkOptions): Promise<CniNetwork> {
    const network = new CniNetwork(options);
    await network.#conf.open();
    return network;
  }

  async ready(): Promise<NetworkReadiness> {
    const now = performance.now();
    if (!this.#readiness || this.#readiness.until < now) {
      await this.#conf.refresh();
      this.#readiness = { answer: this.#probe(), until: now + READY_FOR_MS };
    }
    return this.#readiness.answer;
  }

  /**
   * @throws CniFailure of the plugin that failed; FailedPrecondition without a configuration, or
   *   where a plugin is missing; AlreadyExists for a sandbox that a DEL is still due for.
   */
  attach(request: AttachRequest): Promise<PodNetwork> {
    return this.#inTurn(request.sandboxId, () => this.#attach(request));
  }

  /**
   * Runs DEL as ADD was run, whatever the configuration is now.
   *
   * @throws the first failure; to be called again until it resolves, since something of the sandbox
   *   is still held.
   */
  detach(sandboxId: string): Promise<void> {
    return this.#inTurn(sandboxId, async () => {
      const attachment = this.#attachments.get(sandboxId);
      if (attachment) await this.#undo(attachment);
    });
  }

  /**
   * Runs CHECK on an attachment: false where it cannot be asked.
   *
   * @throws the first plugin's failure; NotFound for a sandbox without an attachment.
   */
  check(sandboxId: string): Promise<boolean> {
    return this.#inTurn(sandboxId, () => {
      const attachment = this.#attachments.get(sandboxId);
      if (!attachment) {
        throw new CoracleError('NotFound', `sandbox ${sandboxId} has no CNI attachment`);
      }
      return checkNetwork(this.#host, recorded(attachment), attachment);
    });
  }

  /** Never rejects: what fails is logged, kept, and tried again by `detach` or the next restart. */
  async recover(live: readonly LivePod[]): Promise<void> {
    const context: SweepContext = {
      host: this.#host,
      attachments: this.#attachments,
      pins: this.#pins,
      log: this.#log,
      ifName: IF_NAME,
      detach: (sandboxId) => this.detach(sandboxId),
      alone: (job) => this.#gate.exclusive(job),
      current: () => this.#current(),
      closed: () => this.#closed,
    };
    const done = sweep(
      context,
      live.map((pod) => pod.sandboxId),
    );
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, RECOVER_PATIENCE_MS);
    });
    await Promise.race([done, patience]);
    clearTimeout(timer);
  }

  describe(): Record<string, unknown> {
    const { confDir, binDirs } = this.#options;
    return describeNetwork({
      confDir,
      binDirs,
      ifName: IF_NAME,
      loaded: this.#conf.current,
      lastProblem: this.#lastProblem,
      attachments: this.#attachments.all().length,
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#conf.close();
  }

  async #attach(request: AttachRequest): Promise<PodNetwork> {
    const { sandboxId, signal } = request;
    throwIfAborted(signal);
    const network = await this.#network();
    if (this.#attachments.get(sandboxId)) {
      throw new CoracleError('AlreadyExists', `sandbox ${sandboxId} is attached already`);
    }
    const armed: CniAttachment = {
      sandboxId,
      config: network.text,
      network: network.name,
      cniVersion: await this.#versions.negotiate(network),
      ifName: IF_NAME,
      netns: this.#pins.pathOf(sandboxId),
      args: cniArgs(request),
      capabilityArgs: capabilityArgs(request),
    };
    await this.#attachments.put(armed);
    let podPid: number;
    try {
      podPid = (await request.monitor).pid;
      throwIfAborted(signal);
    } catch (error) {
      // No plugin has been run.
      await this.#attachments.remove(sandboxId);
      throw error;
    }
    let known = armed;
    try {
      await this.#pins.pin(armed.netns, podPid);
      await addNetwork(this.#host, network, armed, {
        signal,
        onResult: (result) => {
          known = { ...armed, result };
        },
      });
      throwIfAborted(signal);
      const pod = describeFailure(network, () =>
        podNetwork(known.result ?? {}, armed.cniVersion, IF_NAME),
      );
      await this.#attachments.put(known);
      return pod;
    } catch (error) {
      this.#lastProblem = messageOf(error);
      // Whoever is gone, what the plugins gave is taken back. Where that fails, the record stays.
      await this.#undo(known).catch(() => {});
      throw error;
    }
  }

  /** DEL, then the pin, then the record: each is there until what needs it is over. */
  async #undo(attachment: CniAttachment): Promise<void> {
    const { sandboxId, netns } = attachment;
    try {
      const path = (await isNamespace(netns)) ? netns : '';
      await delNetwork(this.#host, recorded(attachment), attachment, path, (err) => {
        this.#log.error({ id: sandboxId, err }, 'a CNI plugin failed to DEL');
      });
      await this.#pins.unpin(netns);
    } catch (error) {
      this.#lastProblem = messageOf(error);
      throw error;
    }
    await this.#attachments.remove(sandboxId);
  }

  async #current(): Promise<CurrentNetwork | undefined> {
    const { network } = this.#conf.current;
    return network && { network, version: await this.#versions.negotiate(network) };
  }

  async #network(): Promise<NetworkConf> {
    if (!this.#conf.current.network) await this.#conf.refresh();
    const { network } = this.#conf.current;
    if (network) return network;
    throw new CoracleError('FailedPrecondition', this.#noNetwork(), {
      reason: 'CniNotInitialized',
    });
  }

  async #probe(): Promise<NetworkReadiness> {
    const { network, skipped } = this.#conf.current;
    if (!network) return { ok: false, reason: this.#noNetwork() };
    try {
      await statusOfNetwork(this.#host, network, await this.#versions.negotiate(network));
    } catch (error) {
      return { ok: false, reason: messageOf(error) };
    }
    return { ok: true, reason: skipped.map((reason) => `passed over: ${reason}`).join('; ') };
  }

  /** Begins as users of kubelet and containerd know it. */
  #noNetwork(): string {
    const none = `cni plugin not initialized: no CNI configuration in ${this.#options.confDir}`;
    return [none, ...this.#conf.current.skipped].join('; ');
  }

  async #inTurn<T>(sandboxId: string, job: () => Promise<T>): Promise<T> {
    const queue = this.#queues.get(sandboxId) ?? new SerialQueue();
    this.#queues.set(sandboxId, queue);
    try {
      return await queue.run(() => this.#gate.shared(job));
    } finally {
      if (queue.idle) this.#queues.delete(sandboxId);
    }
  }
}

function recorded({ config, network }: CniAttachment): NetworkConf {
  return parseConflist(config, `recorded configuration of network ${network}`);
}

function describeFailure<T>(network: NetworkConf, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new CoracleError('Internal', `CNI network ${network.name} ${messageOf(error)}`, {
      reason: 'CniFailure',
      cause: error,
    });
  }
}
