import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { type Snapshot, settledLeaks, snapshot } from './leaks.ts';
import { TestServer } from './server.ts';

/**
 * The server of a test file: it runs from before the first test to after the last one, and leaves
 * nothing. `prepare` runs once it is up, `finish` before it ends: hooks of the file itself would run
 * beside.
 */
export function serverSuite(
  prepare: () => PromiseLike<void> = async () => {},
  finish: () => PromiseLike<void> = async () => {},
): TestServer {
  const server = new TestServer();
  let clean: Snapshot;
  before(async () => {
    clean = snapshot();
    await server.launch();
    await prepare();
  });
  after(async () => {
    try {
      await finish();
    } finally {
      await server.close();
    }
    assert.deepEqual(await settledLeaks(clean), {});
  });
  return server;
}
