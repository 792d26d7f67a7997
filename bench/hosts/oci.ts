import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/errors.ts';
import { type Spec, specJson } from '../../src/spec/oci.ts';
import { type Contestant, millisecondsSince, type Phases, timed } from '../stats.ts';
import type { Embedded } from './embedded.ts';
import type { Host } from './host.ts';
import { runProgram } from './run-program.ts';
import { millisecondsBetween, type Stamps } from './stamps.ts';

const CGROUP = 'coracle-bench';
const DELETE_TIMEOUT = 10_000; // ms

export interface OciPeers extends AsyncDisposable {
  contestants: Contestant[];
  notes: string[];
}

/**
 * The OCI runtimes of this host that can run a container here, each with a bundle of its own. They
 * get the spec that Coracle made, the namespaces of its pod, and a root file system that is mounted
 * beforehand: what is measured is theirs alone.
 */
export async function ociPeers(host: Host, embedded: Embedded, stamps: Stamps): Promise<OciPeers> {
  const { ctx, pod, image } = embedded;
  const model = await pod.createContainer({
    name: 'peer-spec',
    image,
    command: stamps.command(),
    mounts: [stamps.mount],
  });
  const mounted: string[] = [];
  const peers: OciPeers = {
    contestants: [],
    notes: [],
    [Symbol.asyncDispose]: async () => {
      try {
        for (const path of mounted) await runProgram('umount', [path]);
        removeCgroups();
      } finally {
        await model.remove();
      }
    },
  };
  try {
    for (const name of ['crun', 'runc'] as const) {
      const binary = host.peers[name];
      if (!binary) {
        peers.notes.push(`${name} is left out: not installed.`);
        continue;
      }
      const bundle = host.scratch(name);
      const { record } = ctx.containers.get(model.id);
      const { monitorPid = 0 } = ctx.sandboxes.get(pod.id).record;
      const spec = bundleSpec(record.spec, monitorPid, basename(bundle));
      writeFileSync(join(bundle, 'config.json'), specJson(spec));
      const layers = record.layers.map((layer) => join(ctx.options.root, layer));
      mounted.push(await mountRootfs(bundle, layers));
      const state = host.scratch(`${name}-state`);
      const once = lives(binary, state, bundle, stamps);
      try {
        await once();
        peers.contestants.push({ name, once });
      } catch (error) {
        peers.notes.push(`${name} is left out: ${messageOf(error)}.`);
      }
    }
    return peers;
  } catch (error) {
    await peers[Symbol.asyncDispose]();
    throw error;
  }
}

async function mountRootfs(bundle: string, layers: string[]): Promise<string> {
  const [rootfs = '', upper = '', work = ''] = ['rootfs', 'upper', 'work'].map((s) =>
    join(bundle, s),
  );
  for (const path of [rootfs, upper, work]) mkdirSync(path);
  const options = `lowerdir=${layers.join(':')},upperdir=${upper},workdir=${work}`;
  await runProgram('mount', ['-t', 'overlay', 'overlay', '-o', options, rootfs]);
  return rootfs;
}

/** The parent of theirs, which they leave, of each hierarchy or of cgroup v2 alone. */
function removeCgroups(): void {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8');
  for (const [, mountPoint = ''] of mounts.matchAll(/^(?:\S+ ){4}(\S+) .* - cgroup2? /gm)) {
    const dir = join(mountPoint, CGROUP);
    if (existsSync(dir)) rmdirSync(dir);
  }
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
  copy.linux.cgroupsPath = `/${CGROUP}/${name}`;
  return copy;
}

/** One container by `run`, and one by `create`, `start` and `delete`. */
function lives(binary: string, state: string, bundle: string, stamps: Stamps) {
  let count = 0;
  const runtime = (...args: string[]) => runProgram(binary, ['--root', state, ...args]);
  const run = async (id: string): Promise<Phases> => {
    const before = process.hrtime.bigint();
    await runtime('run', '--bundle', bundle, id);
    const total = millisecondsSince(before);
    const first = millisecondsBetween(before, stamps.take());
    return { 'create + start + exit': total, 'create + start → first instruction': first };
  };
  const createAndStart = async (id: string): Promise<Phases> => {
    // A container keeps the descriptors that `create` has; its end is not waited for.
    const quiet = ['-c', 'exec "$@" </dev/null >/dev/null 2>&1', 'sh', binary, '--root', state];
    await runProgram('/bin/sh', [...quiet, 'create', '--bundle', bundle, id]);
    const begin = process.hrtime.bigint();
    await runtime('start', id);
    const start = millisecondsSince(begin);
    const remove = await gone(runtime, id);
    return {
      start,
      remove,
      'start → first instruction': millisecondsBetween(begin, stamps.take()),
    };
  };
  return async (): Promise<Phases> => {
    count += 1;
    const ids: [string, string] = [`run-${count}`, `create-${count}`];
    try {
      return { ...(await run(ids[0])), ...(await createAndStart(ids[1])) };
    } catch (error) {
      for (const id of ids) await runtime('delete', '--force', id).catch(() => {});
      throw error;
    }
  };
}

/**
 * Both delete a container that has ended, and refuse one that runs. Returns what the delete took that
 * was not refused, ms.
 */
async function gone(runtime: (...args: string[]) => Promise<string>, id: string): Promise<number> {
  for (const end = Date.now() + DELETE_TIMEOUT; ; await sleep(2)) {
    try {
      return (await timed(() => runtime('delete', id)))[0];
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}
