import { abortError } from '../errors.ts';

/** A promise with its resolver beside it. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  /** Whether one of the following has been called. */
  readonly settled: boolean;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export function deferred<T>(): Deferred<T> {
  let yes!: (value: T) => void;
  let no!: (reason: unknown) => void;
  const promise = new Promise<T>((resolve, reject) => {
    yes = resolve;
    no = reject;
  });
  // A rejection that nobody waits for is not a crash of the embedding process.
  promise.catch(() => {});
  let settled = false;
  return {
    promise,
    get settled() {
      return settled;
    },
    resolve(value) {
      settled = true;
      yes(value);
    },
    reject(reason) {
      settled = true;
      no(reason);
    },
  };
}

/** Waits for `promise`, or throws the signal's error as soon as it fires. */
export async function withSignal<T>(promise: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return promise;
  if (signal.aborted) {
    // Nobody will look at what becomes of it.
    promise.catch(() => {});
    throw abortError(signal);
  }
  let onAbort!: () => void;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** The longest delay that setTimeout takes; above it fires at once. About 24.8 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Far apart: the timer has nothing to do but to exist. */
const KEEP_ALIVE_MS = 1 << 30;

/**
 * Waits for `promise` and keeps the process running meanwhile: a monitor's connection does not, so
 * that a program can end while containers run.
 */
export async function keepAlive<T>(promise: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, KEEP_ALIVE_MS);
  try {
    return await promise;
  } finally {
    clearInterval(timer);
  }
}

/** Fires when `signal` does, or with `late` when `ms` milliseconds have passed. `clear` it. */
export function deadline(
  ms: number | undefined,
  late: () => Error,
  signal?: AbortSignal,
): { signal: AbortSignal; clear(): void } {
  const controller = new AbortController();
  const onAbort = () => controller.abort(signal?.reason);
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  const timer = ms && setTimeout(() => controller.abort(late()), Math.min(ms, MAX_TIMER_MS));
  return {
    signal: controller.signal,
    clear: () => {
      if (timer) clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    },
  };
}

/** How long a promise is waited for. */
export interface Limit {
  /** No limit where absent or 0. */
  ms: number | undefined;
  late: () => Error;
  signal: AbortSignal | undefined;
}

/**
 * What `work` gives; what `breakOff` makes of the error where the limit is reached first. As
 * `deadline` and `withSignal`, for where a signal of its own would cost as much as the work.
 */
export function orBreakOff<T>(
  work: Promise<T>,
  { ms, late, signal }: Limit,
  breakOff: (error: Error) => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const over = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    const broken = (error: Error) => {
      over();
      resolve(breakOff(error));
    };
    const onAbort = () => broken(abortError(signal as AbortSignal));
    const timer = ms ? setTimeout(() => broken(late()), Math.min(ms, MAX_TIMER_MS)) : undefined;
    if (signal?.aborted) return onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    const whenOver =
      <V>(settle: (value: V) => void) =>
      (value: V) => {
        over();
        settle(value);
      };
    work.then(whenOver(resolve), whenOver(reject));
  });
}

/** True once `promise` has settled, false when `ms` milliseconds pass first. */
export async function settledWithin(promise: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.min(ms, MAX_TIMER_MS));
  });
  try {
    return await Promise.race([
      promise.then(
        () => true,
        () => true,
      ),
      timeout,
    ]);
  } finally {
    clearTimeout(timer);
  }
}
