import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

/** CORACLE_POWER_LOSS=long: more histories, more fates at every moment, more second cuts. */
export const LONG = process.env.CORACLE_POWER_LOSS === 'long';

/** A directory that goes with the test. In memory, if there is room: the model's disk counts. */
export function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'coracle-power-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}
