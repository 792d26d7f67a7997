/** The longest delay that setTimeout takes; above it fires at once. About 24.8 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A request's seconds as milliseconds for a timer; nothing below zero, nothing a timer breaks on. */
export function secondsToMs(seconds: bigint): number {
  if (seconds <= 0n) return 0;
  return Math.min(Number(seconds) * 1000, MAX_TIMER_MS);
}
