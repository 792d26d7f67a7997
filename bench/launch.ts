/**
 * One container in an existing pod: create, start, `/bin/true`, exit, remove. Coracle beside the
 * OCI runtimes found on the host, which get the same OCI spec (the very one that Coracle made), the
 * same namespaces of the same pod, and a root file system that is already mounted.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeBusyboxLayout } from '../scripts/busybox-image.mjs';
import type { RuntimeContext } from '../src/runtime/context.ts';
import { createContainer } from '../src/runtime/create-container.ts';
import { keepAlive } from '../src/runtime/deferred.ts';
import { closeRuntime, defaultOptions, openRuntime } from '../src/runtime/open.ts';
import { removeContainer } from '../src/runtime/remove.ts';
import { removeSandbox } from '../src/runtime/remove-sandbox.ts';
import { runSandbox } from '../src/runtime/run-sandbox.ts';
import { startContainer } from '../src/runtime/start.ts';
import { ociPeers } from './peers.ts';
import { type Contestant, interleave, type Summary, summarise, timed } from './stats.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

export async function benchLaunch(
  rounds: number,
): Promise<Record<string, Record<string, Summary>>> {
  const dir = await mkdtemp(join(tmpdir(), 'coracle-bench-'));
  const ctx = await openRuntime(
    { ...defaultOptions, root: join(dir, 'root'), state: join(dir, 'state') },
    SILENT,
  );
  try {
    await makeBusyboxLayout(join(dir, 'layout'), { name: 'bench.local/busybox:1' });
    const [image] = await ctx.images.import(join(dir, 'layout'));
    if (!image) throw new Error('the benchmark image was not imported');
    const pod = await runSandbox(ctx, {
      name: 'bench',
      namespace: 'bench',
      uid: 'bench',
      attempt: 0,
      attached: true,
      namespaces: { network: 'none' },
    });
    try {
      await using peers = await ociPeers(ctx, pod, image, dir);
      const series = await interleave([coracle(ctx, pod, image), ...peers.contestants], rounds, 3);
      return Object.fromEntries(
        [...series].map(([name, phases]) => [
          name,
          Object.fromEntries([...phases].map(([phase, values]) => [phase, summarise(values)])),
        ]),
      );
    } finally {
      await removeSandbox(ctx, pod);
    }
  } finally {
    await closeRuntime(ctx);
    await rm(dir, { recursive: true, force: true });
  }
}

function coracle(ctx: RuntimeContext, pod: string, image: string): Contestant {
  let attempt = 0;
  return {
    name: 'coracle',
    once: async () => {
      attempt += 1;
      const [create, id] = await timed(() =>
        createContainer(ctx, pod, { name: 'true', attempt, image, command: ['/bin/true'] }),
      );
      const [start] = await timed(() => startContainer(ctx, id));
      const [exit] = await timed(() => keepAlive(ctx.live.of(id).exited.promise));
      const { exitCode } = ctx.containers.get(id).status.get();
      if (exitCode !== 0) throw new Error(`/bin/true ended with ${exitCode}`);
      const [remove] = await timed(() => removeContainer(ctx, id));
      return {
        create,
        start,
        exit,
        remove,
        'create+start+exit': create + start + exit,
        total: create + start + exit + remove,
      };
    },
  };
}
