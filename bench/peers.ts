import { mkdir, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { messageOf } from '../src/errors.ts';
import type { RuntimeContext } from '../src/runtime/context.ts';
import { createContainer } from '../src/runtime/create-container.ts';
import { removeContainer } from '../src/runtime/remove.ts';
import { type Spec, specJson } from '../src/spec/oci.ts';
import { type Contestant, timed } from './stats.ts';

/** OCI runtimes as their distributions install them. */
const BINARIES = { crun: '/usr/bin/crun', runc: '/usr/sbin/runc' } as const;

export interface Peers extends AsyncDisposable {
  contestants: Contestant[];
}

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
): Promise<Peers> {
  const config = { name: 'peer-spec', attempt: 0, image, command: ['/bin/true'] };
  const id = await createContainer(ctx, sandboxId, config);
  const bundles: string[] = [];
  const peers: Peers = {
    contestants: [],
    [Symbol.asyncDispose]: async () => {
      for (const bundle of bundles) await command(ctx, '/bin/umount', [join(bundle, 'rootfs')]);
      await removeContainer(ctx, id);
    },
  };
  try {
    for (const [name, binary] of Object.entries(BINARIES)) {
      const bundle = join(dir, name);
      await makeBundle(ctx, id, sandboxId, bundle);
      bundles.push(bundle);
      const peer = contestant(ctx, name, binary, bundle, dir);
      try {
        await peer.once();
        peers.contestants.push(peer);
      } catch (error) {
        console.error(`${name} is left out: ${messageOf(error)}`);
      }
    }
    return peers;
  } catch (error) {
    await peers[Symbol.asyncDispose]();
    throw error;
  }
}

async function makeBundle(
  ctx: RuntimeContext,
  containerId: string,
  sandboxId: string,
  bundle: string,
): Promise<void> {
  const { record } = ctx.containers.get(containerId);
  const [rootfs, upper, work] = ['rootfs', 'upper', 'work'].map((sub) => join(bundle, sub));
  for (const path of [rootfs, upper, work]) await mkdir(path ?? '', { recursive: true });
  const { monitorPid = 0 } = ctx.sandboxes.get(sandboxId).record;
  const spec = bundleSpec(record.spec, monitorPid, basename(bundle));
  await writeFile(join(bundle, 'config.json'), specJson(spec));
  const lower = record.layers.map((layer) => join(ctx.options.root, layer)).join(':');
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  await command(ctx, '/bin/mount', ['-t', 'overlay', 'overlay', '-o', options, rootfs ?? '']);
}

/** Coracle's own spec with the pod's namespaces by path and a cgroup of the peer's own. */
function bundleSpec(spec: Spec, podPid: number, name: string): Spec {
  const copy = structuredClone(spec);
  // Debian 12's crun knows no later version; nothing that is newer is asked for.
  copy.ociVersion = '1.0.2';
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
