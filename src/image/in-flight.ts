import { abortError } from '../errors.ts';

/**
 * Starts the work. It is called at once, so that it can take what must not be lost in between; it
 * then awaits `before` ahead of everything that two runs of one key must not do side by side.
 */
export type Start<T> = (signal: AbortSignal, before: Promise<void>) => Promise<T>;

interface Task<T> {
  readonly promise: Promise<T>;
  readonly abort: AbortController;
  waiting: number;
}

/**
 * Work that several callers want at once and that is done once: each caller may give up on its
 * own, and the work is aborted when the last one has. Who comes while that work is being torn down
 * starts anew, after it. Nothing is kept after the work has ended.
 */
export class InFlight<T> {
  readonly #tasks = new Map<string, Task<T>>();
  /** Resolve when the work of their key that has no caller any more has ended. */
  readonly #ending = new Map<string, Promise<void>>();
  readonly #running = new Set<Promise<unknown>>();
  #closed: Error | undefined;

  /**
   * Joins the work of this key, or starts it. Rejects with Cancelled for a caller that gave up: at
   * once, or with `linger` after the work has ended, if this was its last caller.
   */
  async run(
    key: string,
    signal: AbortSignal | undefined,
    start: Start<T>,
    { linger = false } = {},
  ): Promise<T> {
    if (this.#closed) throw this.#closed;
    if (signal?.aborted) throw abortError(signal);
    const task = this.#tasks.get(key) ?? this.#start(key, start);
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
        this.#tasks.delete(key);
        this.#tearDown(key, task, signal?.reason);
        if (linger) await Promise.allSettled([task.promise]);
      }
    }
  }

  /**
   * Aborts all work, refuses more, and resolves when it has ended; callers that still wait get the
   * rejection.
   */
  async drain(reason: Error): Promise<void> {
    this.#closed = reason;
    for (const task of this.#tasks.values()) task.abort.abort(reason);
    while (this.#running.size > 0) await Promise.allSettled(this.#running);
  }

  #start(key: string, start: Start<T>): Task<T> {
    const abort = new AbortController();
    const promise = start(abort.signal, this.#ending.get(key) ?? Promise.resolve());
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

  #tearDown(key: string, task: Task<T>, reason: unknown): void {
    task.abort.abort(reason);
    // Work that gave up while it waited for its forerunner has ended before that one.
    const ended = Promise.allSettled([this.#ending.get(key), task.promise]).then(() => {
      if (this.#ending.get(key) === ended) this.#ending.delete(key);
    });
    this.#ending.set(key, ended);
  }
}
