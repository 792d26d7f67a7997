import { setTimeout as sleep } from 'node:timers/promises';
import { abortError, CoracleError } from '../errors.ts';
import { RegistryError } from './registry-error.ts';

export interface RetryOptions {
  /** Whether anything has come since it was last asked; then the tries count from the start. */
  progressed?: () => boolean;
  /** Waits between tries, ms. Default: the clock. */
  wait?: (ms: number, signal: AbortSignal) => Promise<unknown>;
}

const FIRST_DELAY_MS = 250;
const MAX_DELAY_MS = 15_000;
/** Eight seconds of patience in all. */
const MAX_TRIES = 6;
/** A wrong name does not become right; a resolver that is overloaded answers the next time. */
const MAX_TRIES_OF_NAMES = 3;
/** Half a minute: what a registry that has been seen working needs to be started again. */
const MAX_TRIES_AFTER_PROGRESS = 8;

/**
 * Does idempotent work again where it failed as Unavailable, after a wait that doubles each time,
 * or after what the registry asks for. A host that goes silent has already had its time: it gets
 * another try only if anything came before.
 */
export async function retry<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
  options: RetryOptions = {},
): Promise<T> {
  const wait = options.wait ?? ((ms: number) => sleep(ms, undefined, { signal }));
  let seen = false;
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      if (signal.aborted) throw abortError(signal);
      if (!(error instanceof CoracleError) || error.kind !== 'Unavailable') throw error;
      if (options.progressed?.()) {
        seen = true;
        tries = 1;
      }
      if (tries >= triesFor(error, seen, tries)) throw error;
      const backoff = Math.min(FIRST_DELAY_MS * 2 ** (tries - 1), MAX_DELAY_MS);
      const asked = error instanceof RegistryError ? (error.retryAfterMs ?? 0) : 0;
      // Many nodes pull at once: they are not to come back at once.
      const delay = Math.max(backoff * (0.75 + Math.random() / 2), asked);
      await wait(delay, signal).catch(() => {
        throw abortError(signal);
      });
    }
  }
}

function triesFor(error: CoracleError, seen: boolean, tries: number): number {
  const trouble = error instanceof RegistryError ? error.trouble : 'answer';
  if (trouble === 'stall' && !(seen && tries === 1)) return 1;
  if (seen) return MAX_TRIES_AFTER_PROGRESS;
  return trouble === 'name' ? MAX_TRIES_OF_NAMES : MAX_TRIES;
}
