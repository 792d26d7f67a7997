import type { PreparedPlan } from '../native/types.ts';
import { type Deferred, deferred } from './deferred.ts';

/** What a container has only while this process lives. */
export interface LiveContainer {
  /** The start in flight; settles, never rejects, when it is over. */
  starting: Promise<void> | undefined;
  /** Resolves once EXITED is persisted and published. */
  readonly exited: Deferred<void>;
  /** The encoded plan, made at create; made again after a restart. */
  plan: Promise<PreparedPlan> | undefined;
  /** The stop signal is sent once, whoever asks (SP-6). */
  stopSignalSent: boolean;
}

/** The live parts of all containers, by id. */
export class LiveContainers {
  readonly #containers = new Map<string, LiveContainer>();

  of(id: string): LiveContainer {
    let live = this.#containers.get(id);
    if (!live) {
      live = {
        starting: undefined,
        exited: deferred<void>(),
        plan: undefined,
        stopSignalSent: false,
      };
      this.#containers.set(id, live);
    }
    return live;
  }

  forget(id: string): void {
    this.#containers.delete(id);
  }
}
