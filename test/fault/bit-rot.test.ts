/** Bytes of the files of a server change while it does not run: it starts all the same. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ContainerState, NamespaceMode } from '../../src/cri/gen/cri.ts';
import { exited, runPod } from '../helpers/pod.ts';
import { serverSuite } from '../helpers/server-suite.ts';
import { seeded } from './disk-model.ts';
import { LONG } from './power-loss.ts';
import { damage, filesWithBytes } from './rot.ts';

const SEED = Number(process.env.CORACLE_BIT_ROT_SEED ?? 1);
const ROUNDS = LONG ? 100 : 14;

let image: string;

const server = serverSuite(async () => {
  image = await server.importBusybox();
});

/** Id → state and what belongs to it, as a client sees it. */
type Sight = Map<string, string>;

/** Pods and containers of every kind; returns what is to be seen of them. */
async function populate(): Promise<void> {
  const host = await runPod(server, image, NamespaceMode.CONTAINER, NamespaceMode.NODE);
  const own = await runPod(server, image);
  for (const pod of [host, own]) {
    await pod.create(['/bin/true']);
    await pod.run(['sleep', '1000']);
    await exited(server, await pod.run(['sh', '-c', 'exit 7']));
  }
  const stopped = await runPod(server, image);
  await stopped.run(['sleep', '1000']);
  await server.client.stopPodSandbox({ podSandboxId: stopped.id });
}

/** Everything that lists show, with the status of each; no call may fail but for what is not there. */
async function look(): Promise<Sight> {
  const { client } = server;
  const sight: Sight = new Map();
  const { items } = await client.listPodSandbox({});
  for (const { id } of items) {
    const { status } = await client.podSandboxStatus({ podSandboxId: id });
    sight.set(id, `pod ${status?.state}`);
  }
  const { containers } = await client.listContainers({});
  for (const { id } of containers) {
    const { status, info } = await client.containerStatus({ containerId: id, verbose: true });
    const pid = (JSON.parse(info.info ?? '{}') as { pid?: number }).pid ?? 0;
    sight.set(id, `container ${status?.state} ${status?.exitCode} ${pid}`);
    if (status?.state === ContainerState.CONTAINER_RUNNING) {
      assert.ok(existsSync(`/proc/${pid}`), `${id} runs`);
    }
  }
  await client.listImages({});
  await client.imageFsInfo({});
  await client.listContainerStats({});
  await client.listPodSandboxStats({});
  return sight;
}

/** The files that a round damages: each kind comes in its turn, and then one by chance. */
function victims(round: number, random: () => number): string[] {
  const all = filesWithBytes(server.dir).filter((path) => /^(root|state)\//.test(path));
  const kinds: RegExp[] = [
    /^root\/meta\/data\.mdb$/,
    /^root\/meta\/journal/,
    /^root\/meta\/lock\.mdb$|^root\/lock$/,
    /^root\/blobs\//,
    /^root\/(?!meta|blobs|layers|lock)/,
    /^state\//,
    /^root\/meta\/data\.mdb$/,
  ];
  const any = <T>(list: readonly T[]): T[] =>
    list.slice(Math.floor(random() * list.length)).slice(0, 1);
  const kind = kinds[round % kinds.length] ?? /./;
  // The layers' own files are the container's business.
  const ours = all.filter((path) => !/^root\/(layers|containers)\//.test(path));
  return [...new Set([...any(all.filter((path) => kind.test(path))), ...any(ours)])];
}

test(`RC-1: a server starts whatever bytes of its files have changed (seed ${SEED})`, {
  timeout: LONG ? 7_200_000 : 240_000,
}, async (t) => {
  const random = seeded(SEED);
  const met = { files: 0, lost: 0, kept: 0, populated: 0 };
  let sight: Sight = new Map();
  for (let round = 0; round < ROUNDS; round += 1) {
    const { images } = await server.client.listImages({});
    if (images.length === 0) await server.importBusybox();
    if (sight.size < 10) {
      for (const { id } of (await server.client.listPodSandbox({})).items) {
        await server.client.removePodSandbox({ podSandboxId: id });
      }
      await populate();
      met.populated += 1;
      sight = await look();
    }
    // Sometimes killed while the engine has yet to take the last commits.
    await server.end(random() < 0.7 ? 'SIGKILL' : 'SIGTERM');
    const before = new Map<string, Buffer>();
    const done: string[] = [];
    for (const path of victims(round, random)) {
      const place = join(server.dir, path);
      before.set(place, readFileSync(place));
      done.push(`${path}: ${damage(place, random)}`);
      met.files += 1;
    }
    const what = `round ${round}: ${done.join(', ')}`;
    server.output = '';
    try {
      await server.launch();
      const now = await look();
      const changed = [...sight].filter(([id, state]) => now.get(id) !== state);
      const told = server.output.includes('what was damaged has been set aside');
      if (changed.length > 0) assert.ok(told, `${JSON.stringify(changed)} is told`);
      // Whatever is not there, or changed, was lost with a record.
      const meta = done.some((each) => each.startsWith('root/meta/data.mdb'));
      if (!meta) assert.deepEqual(changed, [], 'nothing but records is lost with records');
      met.lost += changed.length;
      met.kept += sight.size - changed.length;
      sight = now;
    } catch (error) {
      throw new Error(`${what}: ${error}\n${server.output}`, { cause: error });
    }
    for (const [place, bytes] of before) {
      if (!place.includes('/meta/') && existsSync(place)) writeFileSync(place, bytes);
    }
  }
  t.diagnostic(JSON.stringify(met));
});
