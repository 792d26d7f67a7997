import { abortError } from '../errors.ts';

interface Task<T> {
  readonly promise: Promise<T>;
  readonly abort: AbortController;
  waiting: number;
}

/**
 * Work that several callers want at once and that is done once: each caller may give up on its
 * own, and the work is aborted when the last one has. Nothing is kept after the work has ended.
 */
export class InFlight<T> {
  readonly #tasks = new Map<string, Task<T>>();
  /** Also what has no caller any more and is being torn down. */
  readonly #running = new Set<Promise<T>>();

  /** Joins the work of this key, or starts it. Rejects with Cancelled for a caller that gave up. */
  async run(
    key: string,
    signal: AbortSignal | undefined,
    start: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (signal?.aborted) throw abortError(signal);
    let task = this.#tasks.get(key);
    if (task === undefined) task = this.#start(key, start);
    task.waiting += 1;
    let giveUp: (() => void) | undefined;
    try {
      if (signal === undefined) return await task.promise;
      const given = new Promise<never>((_, reject) => {
        giveUp = () => reject(abortError(signal));
        signal.addEventListener('abort', giveUp, { once: true });
      });
      return await Promise.race([task.promise, given]);
    } finally {
      if (giveUp) signal?.removeEventListener('abort', giveUp);
      task.waiting -= 1;
      if (task.waiting === 0 && this.#tasks.get(key) === task) {
        // A caller that comes now must not join work that is being torn down.
        this.#tasks.delete(key);
        task.abort.abort(signal?.reason);
      }
    }
  }

  /** Aborts all work and resolves when it has ended; callers that still wait get the rejection. */
  async drain(reason: Error): Promise<void> {
    for (const task of this.#tasks.values()) task.abort.abort(reason);
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  #start(key: string, start: (signal: AbortSignal) => Promise<T>): Task<T> {
    const abort = new AbortController();
    const promise = start(abort.signal);
    const task: Task<T> = { promise, abort, waiting: 0 };
    this.#tasks.set(key, task);
    this.#running.add(promise);
    const forget = () => {
      this.#running.delete(promise);
      if (this.#tasks.get(key) === task) this.#tasks.delete(key);
    };
    // Also takes the rejection that nobody may be waiting for any more.
    promise.then(forget, forget);
    return task;
  }
}
