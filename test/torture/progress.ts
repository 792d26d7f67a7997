import { readFileSync, writeFileSync } from 'node:fs';

/** What an actor says of itself, however it ends; actor.c has the layout and what it means. */
export interface Progress {
  /** How often its program began: 0 or 1. */
  starts: number;
  /** 256 + the status that it ended itself with; 0: it has not. */
  ended: number;
  begun: [number, number];
  written: [number, number];
}

export function makeProgress(path: string): void {
  writeFileSync(path, Buffer.alloc(24));
}

export function readProgress(path: string): Progress {
  const bytes = readFileSync(path);
  const at = (n: number) => bytes.readUInt32LE(4 * n);
  return { starts: at(0), ended: at(1), begun: [at(2), at(3)], written: [at(4), at(5)] };
}
