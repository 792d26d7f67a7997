import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RuntimeContext } from '../src/runtime/context.ts';
import { createContainer } from '../src/runtime/create-container.ts';
import { removeContainer } from '../src/runtime/remove.ts';
import type { Spec } from '../src/spec/oci.ts';
import { type Contestant, timed } from './stats.ts';

/** OCI runtimes as their distributions install them. */
const BINARIES = { crun: '/usr/bin/crun', runc: '/usr/sbin/runc' } as const;

/**
 * The OCI runtimes of this host that can run a container here, each with a bundle of its own. Their
 * processes are started as cheaply as Linux allows, and their root file system is mounted
 * beforehand: what is measured is theirs alone.
 */
export async function ociPeers(
  ctx: RuntimeContext,
  sandboxId: string,
  image: string,
  dir: string,
): Promise<{ contestants: Contestant[]; close: () => Promise<void> }> {
  const id = await createContainer(ctx, sandboxId, {
    name: 'peer-spec',
    attempt: 0,
    image,
    command: ['/bin/true'],
  });
  const { record } = ctx.containers.get(id);
  const contestants: Contestant[] = [];
  const mounted: string[] = [];
  for (const [name, binary] of Object.entries(BINARIES)) {
    const bundle = join(dir, name);
    const rootfs = join(bundle, 'rootfs');
    for (const sub of ['rootfs', 'upper', 'work'])
      await mkdir(join(bundle, sub), { recursive: true });
    const lower = record.layers.map((layer) => join(ctx.options.root, layer)).join(':');
    const overlay = `lowerdir=${lower},upperdir=${join(bundle, 'upper')},workdir=${join(bundle, 'work')}`;
    await command(ctx, '/bin/mount', ['-t', 'overlay', 'overlay', '-o', overlay, rootfs]);
    mounted.push(rootfs);
    const pid = ctx.sandboxes.get(sandboxId).record.monitorPid ?? 0;
    await writeFile(
      join(bundle, 'config.json'),
      JSON.stringify(bundleSpec(record.spec as Spec, pid, name)),
    );
    const peer = contestant(ctx, name, binary, bundle, dir);
    try {
      await peer.once();
      contestants.push(peer);
    } catch (error) {
      console.error(`${name} is left out: ${error instanceof Error ? error.message : error}`);
    }
  }
  return {
    contestants,
    close: async () => {
      for (const path of mounted) await command(ctx, '/bin/umount', [path]);
      for (const name of Object.keys(BINARIES)) await rm(join(dir, name), { recursive: true });
      await removeContainer(ctx, id);
    },
  };
}

/** Coracle's own spec with the pod's namespaces by path and a cgroup of the peer's own. */
function bundleSpec(spec: Spec, podPid: number, name: string): unknown {
  const copy = structuredClone(spec);
  copy.root.path = 'rootfs';
  const files: Record<string, string> = { network: 'net', ipc: 'ipc', uts: 'uts' };
  for (const namespace of copy.linux.namespaces) {
    const file = files[namespace.type];
    if (file) namespace.path = `/proc/${podPid}/ns/${file}`;
  }
  copy.linux.cgroupsPath = `/coracle-bench/${name}`;
  return copy;
}

function contestant(
  ctx: RuntimeContext,
  name: string,
  binary: string,
  bundle: string,
  dir: string,
): Contestant {
  let count = 0;
  return {
    name: `${name} run`,
    once: async () => {
      count += 1;
      const args = [
        '--root',
        join(dir, `${name}-state`),
        'run',
        '--bundle',
        bundle,
        `bench-${count}`,
      ];
      const [total] = await timed(() => command(ctx, binary, args));
      return { total };
    },
  };
}

async function command(ctx: RuntimeContext, file: string, args: string[]): Promise<void> {
  const env = Object.entries(process.env).map(([key, value]) => `${key}=${value}`);
  const { exitCode, stderr } = await ctx.addon.spawn({ file, argv: [file, ...args], env });
  if (exitCode !== 0) throw new Error(`${file} ${args.join(' ')}: ${exitCode}: ${stderr.trim()}`);
}
