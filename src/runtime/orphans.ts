import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RuntimeContext } from './context.ts';
import { settledWithin } from './deferred.ts';
import { monitorSocket, podDir } from './paths.ts';

const SHUTDOWN_MS = 10_000;

/** Ends and deletes what a crash left without a record: monitors, pod and snapshot directories. */
export async function removeOrphans(ctx: RuntimeContext): Promise<void> {
  const { root, state } = ctx.options;
  for (const id of await namesIn(join(state, 'pods'))) {
    if (ctx.sandboxes.has(id)) continue;
    ctx.log.warn({ id }, 'removing a pod that has no record');
    await endOrphan(ctx, id);
    await rm(podDir(ctx.options, id), { recursive: true, force: true });
  }
  for (const id of await namesIn(join(root, 'containers'))) {
    if (ctx.containers.has(id)) continue;
    ctx.log.warn({ id }, 'removing a snapshot that has no record');
    await ctx.addon.runFileOps([{ op: 'removeTree', path: join(root, 'containers', id) }]);
  }
}

async function endOrphan(ctx: RuntimeContext, id: string): Promise<void> {
  try {
    const connection = ctx.addon.connectMonitor(monitorSocket(ctx.options, id));
    await settledWithin(connection.shutdown(), SHUTDOWN_MS);
    connection.close();
  } catch {
    // Nothing listens there any more.
  }
}

async function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch(() => []);
}
