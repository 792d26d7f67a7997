import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Benchmark } from '../benchmark.ts';
import {
  type CriServer,
  containerConfig,
  openCriServers,
  podConfig,
  removePod,
  runPod,
} from '../hosts/cri.ts';
import { countOf, listClient } from '../hosts/list-client.ts';
import { rowsOf } from '../outcome.ts';
import { addTo, type Contestant, interleave, type SeriesMap, timed } from '../stats.ts';

const CHURN = fileURLToPath(new URL('../hosts/churn.ts', import.meta.url));
const CLIENTS = 8;
const PODS = 10;

export const status: Benchmark = {
  name: 'status',
  title: 'Status under load',
  about:
    `ListContainers and ContainerStatus while ${CLIENTS} clients create and remove containers, each ` +
    'one after another, in a process of their own. A list has come with its last byte; what a client ' +
    'makes of it then takes as long with every server, and is left out.',
  run: async ({ host, size, rounds }) => {
    const containers = { full: 1000, quick: 200, smallest: 10 }[size];
    const spells = { full: 3, quick: 2, smallest: 1 }[size];
    const samples = rounds ?? { full: 250, quick: 50, smallest: 2 }[size];
    await using opened = await openCriServers(host, 'host');
    const series: SeriesMap = new Map();
    const contestants: Contestant[] = [];
    const everywhere: { server: CriServer; pods: string[] }[] = [];
    for (const server of opened.servers) {
      const { pods, ids } = await fill(server, containers);
      everywhere.push({ server, pods });
      const once = async () => {
        await measure(server, pods, ids, samples, series);
        return {};
      };
      contestants.push({ name: server.name, once });
    }
    await interleave(contestants, spells, 0);
    for (const { server, pods } of everywhere) {
      for (const pod of pods) await removePod(server.client, pod);
    }
    const whats = [list(containers), one(containers)];
    return {
      rows: rowsOf(series, 'ms'),
      charts: [{ kind: 'bars', title: `With ${containers} containers`, unit: 'ms', whats }],
      notes: [
        `${containers} containers in ${PODS} pods; ${spells} × ${samples} calls of each kind, while ` +
          'the clients ask the same server, and the others have nothing to do.',
        ...opened.notes,
      ],
    };
  },
};

const list = (containers: number) => `ListContainers, ${containers} containers`;
const one = (containers: number) => `ContainerStatus, ${containers} containers`;

/** Makes pods and containers that are never started. */
async function fill({ client }: CriServer, containers: number) {
  const pods: string[] = [];
  const ids: string[] = [];
  for (let index = 0; index < PODS; index += 1) {
    const sandboxConfig = podConfig('status', index, 'host');
    const podSandboxId = await runPod(client, sandboxConfig);
    pods.push(podSandboxId);
    for (let count = 0; count < containers / PODS; count += 1) {
      const config = containerConfig(`c-${count}`);
      const { containerId } = await client.createContainer({ podSandboxId, sandboxConfig, config });
      ids.push(containerId);
    }
  }
  return { pods, ids };
}

async function measure(
  server: CriServer,
  pods: string[],
  ids: string[],
  samples: number,
  series: SeriesMap,
): Promise<void> {
  const { client, name } = server;
  const churn = spawn(
    process.execPath,
    ['--import', 'tsx', CHURN, server.socket, String(CLIENTS), ...pods],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  try {
    await begun(churn);
    using lists = listClient(server.socket);
    const found = countOf(await lists.ask());
    if (found < ids.length) throw new Error(`${found} containers listed`);
    for (let count = 0; count < samples; count += 1) {
      const [all] = await timed(() => lists.ask());
      addTo(series, name, { [list(ids.length)]: all });
      const containerId = ids[count % ids.length] ?? '';
      const [ms] = await timed(() => client.containerStatus({ containerId }));
      addTo(series, name, { [one(ids.length)]: ms });
    }
  } finally {
    if (churn.exitCode === null && churn.signalCode === null) {
      const ended = once(churn, 'exit');
      churn.kill('SIGTERM');
      await ended;
    }
  }
}

/** It says so when every client has made and removed a container. */
async function begun(churn: ChildProcess): Promise<void> {
  const said = churn.stdout && once(churn.stdout, 'data');
  const ended = once(churn, 'exit').then(([code]) => {
    throw new Error(`the clients ended with ${code}`);
  });
  ended.catch(() => {});
  await Promise.race([said, ended]);
}
