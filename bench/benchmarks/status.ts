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
import { rowsOf } from '../outcome.ts';
import { addTo, type SeriesMap, timed } from '../stats.ts';

const CHURN = fileURLToPath(new URL('../hosts/churn.ts', import.meta.url));
const CLIENTS = 8;
const PODS = 10;

export const status: Benchmark = {
  name: 'status',
  title: 'Status under load',
  about:
    `ListContainers and ContainerStatus while ${CLIENTS} clients create and remove containers, each ` +
    'one after another, in a process of their own.',
  run: async ({ host, size, rounds }) => {
    const containers = { full: 1000, quick: 200, smallest: 10 }[size];
    const samples = rounds ?? { full: 1000, quick: 100, smallest: 2 }[size];
    await using opened = await openCriServers(host, 'host');
    const series: SeriesMap = new Map();
    for (const server of opened.servers) await measure(server, containers, samples, series);
    const whats = [list(containers), one(containers)];
    return {
      rows: rowsOf(series, 'ms'),
      charts: [{ kind: 'bars', title: `With ${containers} containers`, unit: 'ms', whats }],
      notes: [
        `${containers} containers in ${PODS} pods; ${samples} calls of each kind. One server after ` +
          'another: each has the machine for itself.',
        ...opened.notes,
      ],
    };
  },
};

const list = (containers: number) => `ListContainers, ${containers} containers`;
const one = (containers: number) => `ContainerStatus, ${containers} containers`;

async function measure(
  server: CriServer,
  containers: number,
  samples: number,
  series: SeriesMap,
): Promise<void> {
  const { client, name } = server;
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
  const churn = spawn(
    process.execPath,
    ['--import', 'tsx', CHURN, server.socket, String(CLIENTS), ...pods],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  try {
    await begun(churn);
    for (let count = 0; count < samples; count += 1) {
      const [all, { containers: found }] = await timed(() => client.listContainers());
      if (found.length < containers) throw new Error(`${found.length} containers listed`);
      addTo(series, name, { [list(containers)]: all });
      const containerId = ids[count % ids.length] ?? '';
      const [ms] = await timed(() => client.containerStatus({ containerId }));
      addTo(series, name, { [one(containers)]: ms });
    }
  } finally {
    if (churn.exitCode === null && churn.signalCode === null) {
      const ended = once(churn, 'exit');
      churn.kill('SIGTERM');
      await ended;
    }
  }
  for (const pod of pods) await removePod(client, pod);
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
