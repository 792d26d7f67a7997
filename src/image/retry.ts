import { setTimeout as sleep } from 'node:timers/promises';
import { abortError, CoracleError } from '../errors.ts';

const DELAYS_MS = [200, 1000, 3000];

export interface RetryOptions {
  /** Whether anything has come since it was last asked; then the tries count from the start. */
  progressed?: () => boolean;
}

/** Does idempotent work again, up to three times, where it failed as Unavailable. */
export async function retry<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (options.progressed?.()) attempt = 0;
      const delay = DELAYS_MS[attempt];
      const again = error instanceof CoracleError && error.kind === 'Unavailable';
      if (!again || delay === undefined) throw error;
      await sleep(delay, undefined, { signal }).catch(() => {
        throw abortError(signal);
      });
    }
  }
}
