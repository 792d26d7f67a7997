import { join } from 'node:path';
import { Pod } from '../../src/embed/pod.ts';
import type { RuntimeContext } from '../../src/runtime/context.ts';
import { closeRuntime, defaultOptions, openRuntime } from '../../src/runtime/open.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { runSandbox } from '../../src/runtime/run-sandbox.ts';
import type { Host } from './host.ts';

const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** A runtime in this process, with the image, and a pod that has no network. */
export interface Embedded extends AsyncDisposable {
  ctx: RuntimeContext;
  pod: Pod;
  image: string;
}

export async function openEmbedded(host: Pick<Host, 'scratch' | 'layout'>): Promise<Embedded> {
  const dir = host.scratch('embedded');
  const files = { root: join(dir, 'root'), state: join(dir, 'state') };
  const ctx = await openRuntime({ ...defaultOptions, ...files }, SILENT);
  try {
    const [image] = await ctx.images.import(host.layout);
    if (!image) throw new Error('the benchmark image was not imported');
    const id = await runSandbox(ctx, {
      name: 'bench',
      namespace: 'bench',
      uid: 'bench',
      attempt: 0,
      attached: true,
      namespaces: { network: 'none' },
    });
    return {
      ctx,
      image,
      pod: new Pod(ctx, id),
      [Symbol.asyncDispose]: async () => {
        try {
          await removeSandbox(ctx, id);
        } finally {
          await closeRuntime(ctx);
        }
      },
    };
  } catch (error) {
    await closeRuntime(ctx);
    throw error;
  }
}
