import { isDeepStrictEqual } from 'node:util';
import { throwIfAborted } from '../errors.ts';
import type { ContainerConfig } from '../spec/config.ts';
import { withSignal } from './deferred.ts';

export interface Creation {
  readonly sandboxId: string;
  readonly config: ContainerConfig;
  /** Makes the container and returns its id; undoes everything where it fails. */
  make(): Promise<string>;
  /** Undoes a container that was made. */
  undo(id: string): Promise<void>;
}

interface InFlight extends Pick<Creation, 'sandboxId' | 'config'> {
  readonly id: Promise<string>;
  /** Settles, never rejects, when nothing is under way any more. */
  readonly over: Promise<void>;
  /** Callers that are still there to be told the id. */
  waiting: number;
  undone: boolean;
}

/**
 * The creations that are under way, by container name. A client whose slow call has timed out
 * tries again with the same request: it joins the first call's creation and gets its id (CR-18).
 *
 * A creation does not end with the call that began it. If it succeeds and nobody is there to be
 * told its id, it is undone.
 */
export class Creations {
  readonly #running = new Map<string, InFlight>();

  async run(name: string, creation: Creation, signal?: AbortSignal): Promise<string> {
    throwIfAborted(signal);
    let found = this.#running.get(name);
    while (found?.undone) {
      await withSignal(found.over, signal);
      found = this.#running.get(name);
    }
    const same =
      found?.sandboxId === creation.sandboxId && isDeepStrictEqual(found.config, creation.config);
    const running = found && same ? found : this.#start(name, creation, found !== undefined);
    running.waiting += 1;
    try {
      return await withSignal(running.id, signal);
    } finally {
      running.waiting -= 1;
    }
  }

  /** Resolves when no creation is under way in a sandbox. */
  async drained(sandboxId: string): Promise<void> {
    const running = [...this.#running.values()].filter((each) => each.sandboxId === sandboxId);
    await Promise.all(running.map(({ over }) => over));
  }

  /** `clash`: another creation has the name; this one is about to be refused it. */
  #start(name: string, creation: Creation, clash: boolean): InFlight {
    const { sandboxId, config } = creation;
    const id = creation.make();
    const over = id
      .then(async (made) => {
        running.undone = running.waiting === 0;
        if (running.undone) await creation.undo(made);
      })
      .catch(() => {})
      .finally(() => {
        if (!clash) this.#running.delete(name);
      });
    const running: InFlight = { sandboxId, config, id, over, waiting: 0, undone: false };
    if (!clash) this.#running.set(name, running);
    return running;
  }
}
