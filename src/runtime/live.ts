import { CoracleError, type ErrorKind } from '../errors.ts';
import type { PreparedPlan } from '../native/types.ts';
import type { LinuxResources } from '../spec/config.ts';
import type { Ending } from '../store/container-status.ts';
import { SerialQueue } from '../store/serial-queue.ts';
import { type Deferred, deferred } from './deferred.ts';
import type { PhaseTimes } from './launch-phases.ts';

/** What a container has only while this process lives. */
export interface LiveContainer {
  /** The start in flight; settles, never rejects, when it is over. */
  starting: Promise<void> | undefined;
  /**
   * Resolves once EXITED is persisted and published. Rejects where that can't be learnt any more:
   * the container was removed, or the runtime closed.
   */
  readonly exited: Deferred<void>;
  /** How it ended: resolves as soon as that is known, and rejects as `exited` does. */
  readonly ended: Deferred<Ending>;
  /** A stop has broken off a start that hung: it is not to launch once more. */
  brokenOff: boolean;
  /** Processes that were launched ahead of its own, and that the OOM killer has ended. */
  oomKills: number;
  /** The removal in flight; settles, never rejects, when it is over. */
  removal: Promise<void> | undefined;
  /** The encoded plan, made at create; made again after a restart. */
  plan: Promise<PreparedPlan> | undefined;
  /** The encoded plan of commands that are run in it; made for these limits of the container. */
  runs: { plan: Promise<PreparedPlan>; resources: LinuxResources | undefined } | undefined;
  /** What its launch has taken; of one by a server before this, nothing is known. */
  readonly phases: PhaseTimes;
  /** The stop signal is sent once, whoever asks (SP-6). */
  stopSignalSent: boolean;
  /** Updates of its limits, one after another. */
  readonly updates: SerialQueue;
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
        ended: deferred<Ending>(),
        brokenOff: false,
        oomKills: 0,
        removal: undefined,
        plan: undefined,
        runs: undefined,
        phases: {},
        stopSignalSent: false,
        updates: new SerialQueue(),
      };
      this.#containers.set(id, live);
    }
    return live;
  }

  /** To be called once it is removed. Whoever still waits for its exit waits in vain. */
  forget(id: string): void {
    const live = this.#containers.get(id);
    this.#containers.delete(id);
    if (live) reject(live, 'NotFound', `container ${id} has been removed`);
  }

  /** Resolves when none of those starts and removals is under way that are so now. */
  async settled(): Promise<void> {
    const live = [...this.#containers.values()];
    await Promise.all(live.flatMap(({ starting, removal }) => [starting, removal]));
  }

  /** To be called when the runtime closes: nobody here will learn of any exit. */
  close(): void {
    for (const live of this.#containers.values()) {
      reject(live, 'Unavailable', 'the runtime has been closed');
    }
  }
}

/** An error takes longer to make than a removal has: none for a container that has exited. */
function reject({ exited, ended }: LiveContainer, kind: ErrorKind, message: string): void {
  if (exited.settled) return;
  const error = new CoracleError(kind, message);
  exited.reject(error);
  ended.reject(error);
}
