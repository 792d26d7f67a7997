import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { keepAlive } from '../../src/runtime/deferred.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { type ContainerStatus, stateOf } from '../../src/store/container-status.ts';
import { DirectRuntime } from './direct-runtime.ts';
import { type Snapshot, settledLeaks, snapshot } from './leaks.ts';

export interface DirectSuite {
  /** Open from before the first test to after the last one. */
  runtime: DirectRuntime;
  /** What there is that was not there before the first test; see `settledLeaks`. */
  leaks(ms?: number): ReturnType<typeof settledLeaks>;
  /** Removes these pods; then nothing is there that was not there before the first test. */
  assertClean(...pods: string[]): Promise<void>;
  status(id: string): ContainerStatus;
  state(id: string): ReturnType<typeof stateOf>;
  /** Resolves when the end of the container is recorded. */
  exited(id: string): Promise<void>;
}

/** The suite of a test file that uses the runtime itself, whose leaks its tests look for. */
export function directSuite(): DirectSuite {
  const runtime = new DirectRuntime();
  let clean: Snapshot;
  const watched = () => ({
    dirs: [join(runtime.dir, 'state'), join(runtime.dir, 'root', 'containers')],
    pid: process.pid,
  });
  before(async () => {
    await runtime.begin();
    // The first pod leaves what the next ones use again.
    await removeSandbox(runtime.ctx, await runtime.pod());
    clean = snapshot(watched());
  });
  after(() => runtime.close());

  const leaks = (ms?: number) => settledLeaks(clean, watched(), ms);
  const status = (id: string) => runtime.ctx.containers.get(id).status.get();
  return {
    runtime,
    leaks,
    async assertClean(...pods) {
      const { ctx } = runtime;
      for (const id of pods) await removeSandbox(ctx, id);
      assert.deepEqual(ctx.containers.list(), []);
      assert.deepEqual(ctx.sandboxes.list(), []);
      assert.deepEqual(await leaks(), {});
    },
    status,
    state: (id) => stateOf(status(id)),
    exited: (id) => keepAlive(runtime.ctx.live.of(id).exited.promise),
  };
}
