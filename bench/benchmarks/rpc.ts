import { type Benchmark, roundsOf } from '../benchmark.ts';
import {
  type CriServer,
  containerConfig,
  openCriServers,
  podConfig,
  removePod,
  runPod,
} from '../hosts/cri.ts';
import { rowsOf } from '../outcome.ts';
import { type Contestant, interleave, type Phases, timed } from '../stats.ts';

const CALLS = [
  'CreateContainer',
  'StartContainer',
  'ContainerStatus',
  'StopContainer',
  'RemoveContainer',
];

export const rpc: Benchmark = {
  name: 'rpc',
  title: "A container's calls over the CRI",
  about:
    'One container after another in an existing pod of the host network, each call timed at the ' +
    'client. Its process waits; StopContainer comes without a grace period.',
  run: async (request) => {
    const rounds = roundsOf(request, { full: 60, quick: 15, smallest: 1 });
    await using opened = await openCriServers(request.host, 'host');
    const contestants: Contestant[] = [];
    const pods: (() => Promise<void>)[] = [];
    for (const server of opened.servers) {
      const config = podConfig('rpc', 0, 'host');
      const pod = await runPod(server.client, config);
      pods.push(() => removePod(server.client, pod));
      contestants.push({ name: server.name, once: life(server, pod, config) });
    }
    const series = await interleave(contestants, rounds, request.size === 'smallest' ? 0 : 3);
    for (const remove of pods) await remove();
    return {
      rows: rowsOf(series, 'ms'),
      charts: [{ kind: 'bars', title: 'Calls of one client', unit: 'ms', whats: CALLS }],
      notes: [`${rounds} rounds.`, ...opened.notes],
    };
  },
};

function life({ client }: CriServer, podSandboxId: string, config: ReturnType<typeof podConfig>) {
  let count = 0;
  return async () => {
    count += 1;
    const times: Phases = {};
    const call = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
      const [ms, result] = await timed(work);
      times[name] = ms;
      return result;
    };
    const create = { podSandboxId, sandboxConfig: config, config: containerConfig(`c-${count}`) };
    const { containerId } = await call('CreateContainer', () => client.createContainer(create));
    await call('StartContainer', () => client.startContainer({ containerId }));
    await call('ContainerStatus', () => client.containerStatus({ containerId }));
    await call('StopContainer', () => client.stopContainer({ containerId, timeout: 0n }));
    await call('RemoveContainer', () => client.removeContainer({ containerId }));
    return times;
  };
}
