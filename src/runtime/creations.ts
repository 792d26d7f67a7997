import { isDeepStrictEqual } from 'node:util';
import { CoracleError, throwIfAborted } from '../errors.ts';
import { withSignal } from './deferred.ts';

/** One request for something that has a name: a pod, or a container in one. */
export interface Creation {
  /** What else takes to be the same request, as plain data. */
  readonly request: unknown;
  /** The pod that it is made in; '' for a pod. */
  readonly sandboxId: string;
  /** What an identical request has made already, provided nobody has used it since. */
  find(): string | undefined;
  /**
   * Makes it and returns its id; undoes everything where it fails. `clash`: another creation has
   * the name, and this one is to be refused it.
   */
  make(clash: boolean): Promise<string>;
  /** Undoes what was made. */
  undo(id: string): Promise<void>;
  /** Lets a making that nobody wants any more fail soon. Absent: it is made, and then undone. */
  abandon?(reason: unknown): void;
}

interface InFlight {
  readonly creation: Creation;
  readonly id: Promise<string>;
  /** Settles, never rejects, when nothing is under way any more. */
  readonly over: Promise<void>;
  /** Callers that are still there to be told the id. */
  waiting: number;
  /** A caller ran out of time, and may come again for the id. */
  kept: boolean;
  undone: boolean;
}

/**
 * The creations that are under way, by name. A client whose slow call has timed out tries again
 * with the same request: it joins the first call's creation and gets its id, or is told the id of
 * what the first call has made (CR-18).
 *
 * A creation does not end with the call that began it. If nobody is there to be told the id, it is
 * undone where the last caller broke the call off, and kept for the retry where a caller was late.
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
    if (!found) {
      const made = creation.find();
      if (made !== undefined) return made;
    }
    const same = found !== undefined && isSame(found.creation, creation);
    const running = found && same ? found : this.#start(name, creation, found !== undefined);
    running.waiting += 1;
    try {
      const id = await withSignal(running.id, signal);
      running.waiting -= 1;
      return id;
    } catch (error) {
      running.waiting -= 1;
      if (signal?.aborted && leave(running, error)) await running.over;
      throw error;
    }
  }

  /** Resolves when no creation is under way, in one sandbox or at all. */
  async drained(sandboxId?: string): Promise<void> {
    const running = [...this.#running.values()].filter(
      ({ creation }) => sandboxId === undefined || creation.sandboxId === sandboxId,
    );
    await Promise.all(running.map(({ over }) => over));
  }

  #start(name: string, creation: Creation, clash: boolean): InFlight {
    const id = creation.make(clash);
    const over = id
      .then(async (made) => {
        running.undone ||= running.waiting === 0 && !running.kept;
        if (running.undone) await creation.undo(made);
      })
      .catch(() => {})
      .finally(() => {
        if (!clash) this.#running.delete(name);
      });
    const running: InFlight = { creation, id, over, waiting: 0, kept: false, undone: false };
    if (!clash) this.#running.set(name, running);
    return running;
  }
}

/** The signal of a caller has fired. True where nobody wants it any more: its undoing is on. */
function leave(running: InFlight, error: unknown): boolean {
  const { creation } = running;
  if (error instanceof CoracleError && error.kind === 'DeadlineExceeded') running.kept = true;
  if (running.waiting > 0 || running.kept || !creation.abandon) return false;
  running.undone = true;
  creation.abandon(error);
  return true;
}

function isSame(a: Creation, b: Creation): boolean {
  return a.sandboxId === b.sandboxId && isSameRequest(a.request, b.request);
}

/** Whether two requests are one and the same, also where one of them has been to the disk. */
export function isSameRequest(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(plain(a), plain(b));
}

function plain(request: unknown): unknown {
  return JSON.parse(JSON.stringify(request));
}
