import { setTimeout as sleep } from 'node:timers/promises';
import type { Benchmark } from '../benchmark.ts';
import {
  type CriNetwork,
  type CriServer,
  containerConfig,
  openCriServers,
  podConfig,
  removePod,
  runContainer,
  runPod,
} from '../hosts/cri.ts';
import { cpuOf, memoryOf, pss } from '../hosts/proc.ts';
import { type LineChart, OURS, type Row, row, type Unit } from '../outcome.ts';
import { timed } from '../stats.ts';

const CONTAINERS = 2;
/** Peers take a shim of 5 MB for each pod, and long. */
const PEER_PODS = 100;

export const scale: Benchmark = {
  name: 'scale',
  title: 'Scale',
  about:
    `Pods with ${CONTAINERS} running containers each, and with a network: what server and monitors (or ` +
    'shims) weigh, what they take while nothing happens, how long calls take, and how long a server ' +
    'that is started again takes until it serves all of it. The memory of containers is not in it.',
  run: async ({ host, size }) => {
    const sizes = { full: [0, 10, 100, 500], quick: [0, 10, 50], smallest: [0, 2] }[size];
    const restSeconds = { full: 10, quick: 2, smallest: 0.2 }[size];
    const samples = { full: 20, quick: 10, smallest: 1 }[size];
    const restarts = { full: 3, quick: 1, smallest: 1 }[size];
    await using opened = await openCriServers(host, 'embedded');
    const rows: Row[] = [];
    for (const server of opened.servers) {
      const ours = server.name === OURS;
      const mine = sizes.filter((pods) => ours || pods <= PEER_PODS);
      rows.push(...(await grow(server, { sizes: mine, restSeconds, samples, restarts })));
    }
    const charts = LINES.map(([title, unit, what]) => lines(rows, sizes, title, unit, what));
    const left = `One server after another: nothing else is there. Peers stop at ${PEER_PODS} pods.`;
    return { rows, charts, notes: [`Sizes: ${sizes.join(', ')} pods.`, left, ...opened.notes] };
  },
};

const LINES: [title: string, unit: Unit, what: string][] = [
  ['Memory of server (RSS) and monitors or shims (PSS)', 'KiB', 'memory'],
  ['CPU while nothing happens', '% of a core', 'CPU at rest'],
  ['StartContainer', 'ms', 'StartContainer'],
  ['RunPodSandbox', 'ms', 'RunPodSandbox'],
  ['A restart until every call is served', 'ms', 'restart'],
];

const at = (what: string, pods: number) => `${what}, ${pods} pods`;

function lines(rows: Row[], sizes: number[], title: string, unit: Unit, what: string): LineChart {
  const names = [...new Set(rows.map(({ who }) => who))];
  const lines = names.map((label) => {
    const points = sizes.flatMap((pods): [number, number][] => {
      const found = rows.find((each) => each.who === label && each.what === at(what, pods));
      return found ? [[pods, found.summary.median]] : [];
    });
    return { label, points };
  });
  return { kind: 'lines', title, unit, x: 'pods', lines };
}

interface Growth {
  sizes: number[];
  restSeconds: number;
  samples: number;
  restarts: number;
}

async function grow(server: CriServer, growth: Growth): Promise<Row[]> {
  const { sizes, restSeconds, samples, restarts } = growth;
  const { client, name } = server;
  const network: CriNetwork = name === OURS ? 'embedded' : 'cni';
  const rows: Row[] = [];
  const ids: string[] = [];
  for (const pods of sizes) {
    while (ids.length < pods) {
      const config = podConfig('scale', ids.length, network);
      const pod = await runPod(client, config);
      ids.push(pod);
      for (let count = 0; count < CONTAINERS; count += 1) {
        await runContainer(client, pod, config, containerConfig(`c-${count}`));
      }
    }
    const add = (what: string, unit: Unit, ...values: number[]) =>
      rows.push(row(name, at(what, pods), unit, ...values));
    await sleep(restSeconds * 200);
    const helpers = await server.helpers();
    const all = [server.pid, ...helpers];
    // Of the server not PSS: its program is that of this process, too, or of another peer's server.
    const rss = memoryOf(server.pid, 'status', 'VmRSS');
    add('server RSS', 'KiB', rss);
    add('memory', 'KiB', rss + pss(helpers));
    if (pods > 0) add('memory for each pod', 'KiB', pss(helpers) / pods);
    const before = cpuOf(all).own;
    await sleep(restSeconds * 1000);
    add('CPU at rest', '% of a core', (cpuOf(all).own - before) / restSeconds / 10);
    const calls = await latencies(server, network, samples);
    for (const [call, values] of Object.entries(calls)) add(call, 'ms', ...values);
    const restartTimes: number[] = [];
    while (restartTimes.length < restarts) restartTimes.push(await restart(server, pods));
    add('restart', 'ms', ...restartTimes);
  }
  const [removed] = await timed(async () => {
    for (const id of ids) await removePod(client, id);
  });
  rows.push(row(name, at('stopped and removed', ids.length), 'ms', removed));
  return rows;
}

async function latencies({ client }: CriServer, network: CriNetwork, samples: number) {
  const calls = { RunPodSandbox: [], StartContainer: [], ListContainers: [], 'remove a pod': [] };
  const series: Record<keyof typeof calls, number[]> = calls;
  for (let count = 0; count < samples; count += 1) {
    const sandboxConfig = podConfig('sample', count, network);
    const [run, podSandboxId] = await timed(() => runPod(client, sandboxConfig));
    const create = { podSandboxId, sandboxConfig, config: containerConfig('payload') };
    const { containerId } = await client.createContainer(create);
    const [start] = await timed(() => client.startContainer({ containerId }));
    const [list] = await timed(() => client.listContainers());
    const [remove] = await timed(() => removePod(client, podSandboxId));
    series.RunPodSandbox.push(run);
    series.StartContainer.push(start);
    series.ListContainers.push(list);
    series['remove a pod'].push(remove);
  }
  return series;
}

/** From the new server's start until it lists every pod and container as running. */
async function restart(server: CriServer, pods: number): Promise<number> {
  const { client } = server;
  await server.end();
  const [whole] = await timed(async () => {
    await server.begin();
    const { items } = await client.listPodSandbox({ filter: { state: { state: 0 } } });
    const { containers } = await client.listContainers({ filter: { state: { state: 1 } } });
    if (items.length !== pods || containers.length !== pods * CONTAINERS) {
      const found = `${items.length} pods and ${containers.length} containers`;
      throw new Error(`${server.name} came back with ${found}, not ${pods} pods`);
    }
    const one = items[0];
    if (one) await client.podSandboxStatus({ podSandboxId: one.id });
  });
  return whole;
}
