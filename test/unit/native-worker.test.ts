/** Worker threads that load the addon, and what their end must not do to the process. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADDON_FILE, nodeChild } from '../helpers/node-child.ts';

test('a worker thread that is ended in the middle of a call ends alone', async () => {
  // Whatever is refused makes an error, which cannot be thrown once the thread is being ended.
  const inWorker = `
    const addon = require(${JSON.stringify(ADDON_FILE)});
    require('node:worker_threads').parentPort.postMessage('running');
    for (;;) try { addon.preparePlan({}); } catch {}`;
  const code = `
    const { Worker } = require('node:worker_threads');
    (async () => {
      for (let i = 0; i < 10; i++) {
        const worker = new Worker(${JSON.stringify(inWorker)}, { eval: true });
        await new Promise((running) => worker.once('message', running));
        await worker.terminate();
      }
      console.log('ended');
    })();`;
  const result = await nodeChild(code, 60_000);
  assert.deepEqual([result.exitCode, result.stdout], [0, 'ended\n'], result.stderr);
});
