import { readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PAYLOAD } from './host.ts';

const FLOOD_TIMEOUT = 300_000; // ms

/** A directory of the host in which containers write what time it is, with payload.c. */
export class Stamps {
  readonly mount: { hostPath: string; containerPath: string };
  readonly #file: string;

  constructor(dir: string) {
    this.mount = { hostPath: dir, containerPath: '/stamps' };
    this.#file = join(dir, 'now');
  }

  /** A command that writes the time of its first instruction, or of `ms` later, and ends. */
  command(ms?: number): string[] {
    return [PAYLOAD, 'stamp', '/stamps/now', ...(ms === undefined ? [] : [String(ms)])];
  }

  /**
   * A command that sleeps `ms`, writes the time, then `bytes` in lines to its stdout, the time to
   * another file, and ends.
   */
  flood(length: number, bytes: number, ms: number): string[] {
    return [PAYLOAD, 'flood', ...[length, bytes, ms].map(String), '/stamps/now', '/stamps/end'];
  }

  /** Waits for the first or the last stamp of a flood; asks no server for it. */
  async flooding(which: 'begun' | 'over'): Promise<void> {
    const file = which === 'begun' ? this.#file : join(dirname(this.#file), 'end');
    for (const end = Date.now() + FLOOD_TIMEOUT; !isWhole(file); await sleep(1)) {
      if (Date.now() > end) throw new Error('a container that was to write has not');
    }
    if (which === 'over') rmSync(file);
  }

  /** What was written since the last call; on the clock of `process.hrtime.bigint()`. */
  take(): bigint {
    const ns = BigInt(readFileSync(this.#file, 'utf8'));
    rmSync(this.#file);
    return ns;
  }
}

function isWhole(file: string): boolean {
  return (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0;
}

/** Milliseconds between two times in ns. */
export function millisecondsBetween(from: bigint, to: bigint): number {
  return Number(to - from) / 1e6;
}
