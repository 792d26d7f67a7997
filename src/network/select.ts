import type {
  AttachRequest,
  LivePod,
  NetworkReadiness,
  PodNetwork,
  PodNetworkProvider,
} from './index.ts';

/**
 * The network of new pods, and those that earlier settings of this root have attached pods to: a
 * pod is detached by whoever attached it. Each provider keeps its own records by sandbox id, so
 * that all can be asked.
 */
export class SelectedNetwork implements PodNetworkProvider {
  readonly #current: PodNetworkProvider;
  readonly #all: readonly PodNetworkProvider[];

  constructor(current: PodNetworkProvider, earlier: readonly PodNetworkProvider[]) {
    this.#current = current;
    this.#all = [current, ...earlier];
  }

  ready(): Promise<NetworkReadiness> {
    return this.#current.ready();
  }

  attach(request: AttachRequest): Promise<PodNetwork> {
    return this.#current.attach(request);
  }

  /** @throws the first failure, once all have tried. */
  detach(sandboxId: string): Promise<void> {
    return this.#each((network) => network.detach(sandboxId));
  }

  /** @throws the first failure, once all have tried. */
  recover(live: readonly LivePod[]): Promise<void> {
    return this.#each((network) => network.recover(live));
  }

  describe(): Record<string, unknown> {
    return this.#current.describe();
  }

  close(): Promise<void> {
    return this.#each((network) => network.close());
  }

  async #each(action: (network: PodNetworkProvider) => Promise<void>): Promise<void> {
    const results = await Promise.allSettled(this.#all.map(async (each) => action(each)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }
}
