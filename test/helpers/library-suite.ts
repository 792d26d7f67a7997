import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import { Runtime } from '../../src/index.ts';
import { type Snapshot, settledLeaks, snapshot } from './leaks.ts';

/**
 * The suite of a test file that uses the library as a program does: `prepare` gets the runtime, open
 * from before the first test to after the last one, and the name of its image. Nothing may be left.
 * Returns the directory of both, whose `root` and `state` are the runtime's.
 */
export function librarySuite(
  prepare: (runtime: Runtime, image: string) => void | PromiseLike<void>,
): string {
  const dir = mkdtempSync(join(tmpdir(), 'coracle-library-'));
  let runtime: Runtime | undefined;
  let clean: Snapshot;
  before(async () => {
    clean = snapshot();
    await makeBusyboxLayout(join(dir, 'layout'), { name: 'test.local/busybox:1' });
    runtime = await Runtime.open({ root: join(dir, 'root'), state: join(dir, 'state') });
    const [image = ''] = await runtime.images.import(join(dir, 'layout'));
    await prepare(runtime, image);
  });
  after(async () => {
    await runtime?.close();
    await rm(dir, { recursive: true, force: true });
    assert.deepEqual(await settledLeaks(clean), {});
  });
  return dir;
}
