import { type Benchmark, roundsOf } from '../benchmark.ts';
import {
  type CriServer,
  containerConfig,
  exited,
  openCriServers,
  podConfig,
  removePod,
  runContainer,
  runPod,
} from '../hosts/cri.ts';
import { type Embedded, openEmbedded } from '../hosts/embedded.ts';
import { millisecondsBetween, Stamps } from '../hosts/stamps.ts';
import { rowsOf } from '../outcome.ts';
import { type Contestant, interleave } from '../stats.ts';

/** How long a container lives, so that its start is over when it ends. */
const LIFE = 50; // ms

export const exit: Benchmark = {
  name: 'exit',
  title: 'Exit notification',
  about:
    "From a container's last act, writing down the time, until others know of its end: the promises " +
    'of the embedding API, of which one waits until the exit is on disk, and ContainerStatus of a ' +
    'server that is asked once a millisecond.',
  run: async (request) => {
    const { host } = request;
    const rounds = roundsOf(request, { full: 50, quick: 10, smallest: 1 });
    const stamps = new Stamps(host.scratch('stamps'));
    await using embedded = await openEmbedded(host);
    await using opened = await openCriServers(host, 'host');
    const contestants = [inProcess(embedded, stamps)];
    const pods: (() => Promise<void>)[] = [];
    for (const server of opened.servers) {
      const config = podConfig('exit', 0, 'host');
      const pod = await runPod(server.client, config);
      pods.push(() => removePod(server.client, pod));
      contestants.push(overCri(server, pod, config, stamps));
    }
    const series = await interleave(contestants, rounds, request.size === 'smallest' ? 0 : 3);
    for (const remove of pods) await remove();
    const whats = ['exit → promise', 'exit → promise, on disk', 'exit → ContainerStatus'];
    return {
      rows: rowsOf(series, 'ms'),
      charts: [{ kind: 'bars', title: 'From an end to those who wait', unit: 'ms', whats }],
      notes: [`${rounds} rounds.`, ...opened.notes],
    };
  },
};

function inProcess({ pod, image }: Embedded, stamps: Stamps): Contestant {
  return {
    name: 'coracle',
    once: async () => {
      const command = stamps.command(LIFE);
      const container = await pod.createContainer({ image, command, mounts: [stamps.mount] });
      await container.start();
      const known = container.wait({ durable: false }).then(() => process.hrtime.bigint());
      const durable = container.wait().then(() => process.hrtime.bigint());
      const [first, then] = await Promise.all([known, durable]);
      await container.remove();
      const end = stamps.take();
      return {
        'exit → promise': millisecondsBetween(end, first),
        'exit → promise, on disk': millisecondsBetween(end, then),
      };
    },
  };
}

function overCri(
  { name, client }: CriServer,
  pod: string,
  config: ReturnType<typeof podConfig>,
  stamps: Stamps,
): Contestant {
  let count = 0;
  return {
    name,
    once: async () => {
      count += 1;
      const more = { mounts: [stamps.mount] };
      const container = containerConfig(`exit-${count}`, stamps.command(LIFE), more);
      const containerId = await runContainer(client, pod, config, container);
      await exited(client, containerId);
      const now = process.hrtime.bigint();
      await client.removeContainer({ containerId });
      return { 'exit → ContainerStatus': millisecondsBetween(stamps.take(), now) };
    },
  };
}
