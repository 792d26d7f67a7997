import { dirname, join } from 'node:path';
import { addon, monitorExecutable } from '../../src/native/addon.ts';
import type { SpawnResult } from '../../src/native/types.ts';

/** What `require` loads: for threads of a process whose main thread does not have the addon. */
export const ADDON_FILE = join(dirname(monitorExecutable()), 'coracle.node');

/** Runs JavaScript in a process of its own, for what may end a process. */
export function nodeChild(code: string, timeoutMs = 20_000): Promise<SpawnResult> {
  return addon.spawn({
    file: process.execPath,
    argv: ['node', '-e', code],
    env: [],
    timeoutMs,
  });
}
