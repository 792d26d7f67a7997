import { type Benchmark, roundsOf } from '../benchmark.ts';
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
import { pluginsAlone } from '../hosts/plugins.ts';
import { OURS, rowsOf } from '../outcome.ts';
import { type Contestant, interleave, type Phases, timed } from '../stats.ts';

const NETWORKS = { host: 'host network', embedded: 'embedded network', cni: 'CNI bridge' };

export const pods: Benchmark = {
  name: 'pods',
  title: 'Pods',
  about:
    'RunPodSandbox, StopPodSandbox and RemovePodSandbox with each kind of network, and pods with one ' +
    'running container each, one after another. "plugins alone" runs ADD and DEL of the configured ' +
    'plugins, bridge and portmap, by themselves: what no runtime that uses them can be faster than.',
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
      const plugins = pluginsAlone(host, host.cniBin);
      contestants.push(life(cni, 'cni'));
      const once = async () => {
        const { add, del } = await plugins();
        return {
          [`RunPodSandbox, ${NETWORKS.cni}`]: add,
          [`StopPodSandbox, ${NETWORKS.cni}`]: del,
        };
      };
      contestants.push({ name: 'plugins alone', once });
    }
    const series = await interleave(contestants, rounds, size === 'smallest' ? 0 : 2);
    const rows = rowsOf(series, 'ms');
    const trains = opened.servers.map((server) => ({
      name: server.name,
      once: () => oneAfterAnother(server, many),
    }));
    const times = { full: 3, quick: 1, smallest: 1 }[size];
    rows.push(...rowsOf(await interleave(trains, times, 0), 'ms'));
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
        `${rounds} rounds; ${many} pods one after another, ${times} times.`,
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

async function oneAfterAnother(server: CriServer, many: number): Promise<Phases> {
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
  return { 'pods started': started, 'pods stopped and removed': ended };
}
