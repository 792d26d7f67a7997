import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PAYLOAD } from './host.ts';

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

  /** What was written since the last call; on the clock of `process.hrtime.bigint()`. */
  take(): bigint {
    const ns = BigInt(readFileSync(this.#file, 'utf8'));
    rmSync(this.#file);
    return ns;
  }
}

/** Milliseconds between two times in ns. */
export function millisecondsBetween(from: bigint, to: bigint): number {
  return Number(to - from) / 1e6;
}
