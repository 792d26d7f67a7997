import { join } from 'node:path';
import { type Benchmark, roundsOf } from '../benchmark.ts';
import { bridge } from '../hosts/cni-config.ts';
import { coracleServer } from '../hosts/coracle-server.ts';
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
import type { Host } from '../hosts/host.ts';
import { runProgram } from '../hosts/run-program.ts';
import { OURS, row, rowsOf } from '../outcome.ts';
import { type Contestant, interleave, timed } from '../stats.ts';

const NETWORKS = { host: 'host network', embedded: 'embedded network', cni: 'CNI bridge' };
const PLUGINS = 'plugins alone';

export const pods: Benchmark = {
  name: 'pods',
  title: 'Pods',
  about:
    'RunPodSandbox, StopPodSandbox and RemovePodSandbox with each kind of network, and pods with one ' +
    'running container each, one after another. "plugins alone" runs ADD and DEL of the bridge ' +
    'plugin by itself: what no runtime that uses it can be faster than.',
  run: async (request) => {
    const { host, size } = request;
    const rounds = roundsOf(request, { full: 30, quick: 8, smallest: 1 });
    const many = { full: 50, quick: 10, smallest: 2 }[size];
    await using opened = await openCriServers(host, 'embedded');
    await using cni = host.cniBin ? await coracleServer(host, 'cni') : undefined;
    const contestants: Contestant[] = [];
    for (const server of opened.servers) {
      contestants.push(life(server, 'host'));
      contestants.push(life(server, server.name === OURS ? 'embedded' : 'cni'));
    }
    if (cni && host.cniBin) {
      contestants.push(life(cni, 'cni'));
      contestants.push(pluginsAlone(host, host.cniBin));
    }
    const series = await interleave(contestants, rounds, size === 'smallest' ? 0 : 2);
    const rows = rowsOf(series, 'ms');
    for (const server of opened.servers) rows.push(...(await oneAfterAnother(server, many)));
    const calls = ['RunPodSandbox', 'StopPodSandbox', 'RemovePodSandbox'];
    const charts = Object.values(NETWORKS).map((network) => ({
      kind: 'bars' as const,
      title: `Pods, ${network}`,
      unit: 'ms' as const,
      whats: calls.map((call) => `${call}, ${network}`),
    }));
    return {
      rows,
      charts: [
        ...charts,
        {
          kind: 'bars',
          title: `${many} pods with a container each, one after another`,
          unit: 'ms',
          whats: ['pods started', 'pods stopped and removed'],
        },
      ],
      notes: [
        `${rounds} rounds; ${many} pods one after another, once.`,
        ...(host.cniBin ? [] : ['CNI is left out: no plugins here.']),
        ...opened.notes,
      ],
    };
  },
};

function life({ name, client }: CriServer, network: CriNetwork): Contestant {
  let count = 0;
  return {
    name,
    once: async () => {
      count += 1;
      const config = podConfig(`pod-${network}`, count, network);
      const [run, podSandboxId] = await timed(() => runPod(client, config));
      const [stop] = await timed(() => client.stopPodSandbox({ podSandboxId }));
      const [remove] = await timed(() => client.removePodSandbox({ podSandboxId }));
      const kind = NETWORKS[network];
      return {
        [`RunPodSandbox, ${kind}`]: run,
        [`StopPodSandbox, ${kind}`]: stop,
        [`RemovePodSandbox, ${kind}`]: remove,
        [`StopPodSandbox + RemovePodSandbox, ${kind}`]: stop + remove,
      };
    },
  };
}

function pluginsAlone(host: Host, cniBin: string): Contestant {
  const dir = host.scratch('plugins');
  const config = { cniVersion: '0.4.0', name: 'alone', ...bridge(dir, 0) };
  let count = 0;
  return {
    name: PLUGINS,
    once: async () => {
      count += 1;
      const name = `bench-alone-${count}`;
      await runProgram('ip', ['netns', 'add', name]);
      const plugin = (command: string) => {
        const env = [
          `CNI_COMMAND=${command}`,
          `CNI_CONTAINERID=${name}`,
          `CNI_NETNS=/run/netns/${name}`,
          'CNI_IFNAME=eth0',
          `CNI_PATH=${cniBin}`,
        ];
        const stdin = JSON.stringify(config);
        return timed(() => runProgram(join(cniBin, 'bridge'), [], { stdin, env }));
      };
      try {
        const [add] = await plugin('ADD');
        const [del] = await plugin('DEL');
        return {
          [`RunPodSandbox, ${NETWORKS.cni}`]: add,
          [`StopPodSandbox, ${NETWORKS.cni}`]: del,
        };
      } finally {
        await runProgram('ip', ['netns', 'delete', name]);
      }
    },
  };
}

async function oneAfterAnother(server: CriServer, many: number) {
  const { name, client } = server;
  const network = name === OURS ? 'embedded' : 'cni';
  const ids: string[] = [];
  const [started] = await timed(async () => {
    for (let count = 0; count < many; count += 1) {
      const config = podConfig('many', count, network);
      const pod = await runPod(client, config);
      ids.push(pod);
      await runContainer(client, pod, config, containerConfig('payload'));
    }
  });
  const [ended] = await timed(async () => {
    for (const id of ids) await removePod(client, id);
  });
  return [
    row(name, 'pods started', 'ms', started),
    row(name, 'pods stopped and removed', 'ms', ended),
  ];
}
