import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
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
import { PAYLOAD } from '../hosts/host.ts';
import { cpuOf } from '../hosts/proc.ts';
import { millisecondsBetween, Stamps } from '../hosts/stamps.ts';
import { OURS, rowsOf } from '../outcome.ts';
import { addTo, type Contestant, interleave, type SeriesMap, timed } from '../stats.ts';

/** Bytes of a line, its end included. */
const LINES = [20, 100, 1024, 16384];
const QUIET = 'ExecSync beside a quiet container';
const LOUD = 'ExecSync beside a container that floods its log';

/** Peers write so much less, to be done in time. */
const PEERS_SHARE = 1 / 8;
/** How long a container waits before it writes, so that its launch is over by then. */
const LAUNCH = 300; // ms

const named = (length: number) =>
  `${length % 1024 === 0 ? `${length / 1024} KiB` : `${length} B`} lines`;

export const logs: Benchmark = {
  name: 'logs',
  title: 'Logs',
  about:
    'A container writes lines as fast as it can; its log is a file in CRI framing. Bytes are those ' +
    'that it wrote, time is from its first line until its end is told, which is when its log is whole. ' +
    'CPU is that of server and monitor, or shim, meanwhile. Then another container of the pod is ' +
    'probed with ExecSync, without and with one that writes all the time.',
  run: async (request) => {
    const rounds = roundsOf(request, { full: 5, quick: 2, smallest: 1 });
    const bytes = { full: 256, quick: 32, smallest: 1 }[request.size] * 1e6;
    const probes = { full: 100, quick: 10, smallest: 1 }[request.size];
    await using opened = await openCriServers(request.host, 'host');
    const stamps = new Stamps(request.host.scratch('stamps'));
    const speeds: Contestant[] = [];
    const cpu: SeriesMap = new Map();
    const latency: SeriesMap = new Map();
    const pods: LoggingPod[] = [];
    for (const server of opened.servers) {
      const mine = server.name === OURS ? bytes : bytes * PEERS_SHARE;
      const pod = await openPod(server, request.host.scratch('logs'), stamps, mine);
      pods.push(pod);
      const once = async () => {
        const speed: Record<string, number> = {};
        for (const length of LINES) {
          const result = await flood(pod, length);
          speed[named(length)] = result.speed;
          addTo(cpu, server.name, { [named(length)]: result.cpu });
        }
        return speed;
      };
      speeds.push({ name: server.name, once });
    }
    const speed = await interleave(speeds, rounds, 0);
    for (const pod of pods) {
      await neighbour(pod, probes, latency);
      await removePod(pod.server.client, pod.id);
    }
    const whats = LINES.map(named);
    const better = { moreIsBetter: true };
    return {
      rows: [
        ...rowsOf(speed, 'MB/s').map((row) => ({ ...row, ...better })),
        ...rowsOf(cpu, 'CPU ms/MB').map((row) => ({ ...row, what: `CPU, ${row.what}` })),
        ...rowsOf(latency, 'ms'),
      ],
      charts: [
        { kind: 'bars', title: 'Log throughput', unit: 'MB/s', whats },
        {
          kind: 'bars',
          title: 'CPU for a megabyte of log',
          unit: 'CPU ms/MB',
          whats: whats.map((what) => `CPU, ${what}`),
        },
        { kind: 'bars', title: "A neighbour's latency", unit: 'ms', whats: [QUIET, LOUD] },
      ],
      notes: [
        `${rounds} rounds of ${bytes / 1e6} MB; of ${(bytes * PEERS_SHARE) / 1e6} MB by peers.`,
        ...opened.notes,
      ],
    };
  },
};

interface LoggingPod {
  server: CriServer;
  id: string;
  config: ReturnType<typeof podConfig>;
  dir: string;
  stamps: Stamps;
  /** What a container of it writes. */
  bytes: number;
  count: number;
}

async function openPod(
  server: CriServer,
  dir: string,
  stamps: Stamps,
  bytes: number,
): Promise<LoggingPod> {
  const config = podConfig('logs', 0, 'host', dir);
  const id = await runPod(server.client, config);
  return { server, id, config, dir, stamps, bytes, count: 0 };
}

/** Starts one that writes; `done` resolves when the log is whole, `remove` takes all away. */
async function start(pod: LoggingPod, command: string[]) {
  pod.count += 1;
  const { client } = pod.server;
  const logPath = `${pod.count}.log`;
  const more = { logPath, mounts: [pod.stamps.mount] };
  const config = containerConfig(`logs-${pod.count}`, command, more);
  const containerId = await runContainer(client, pod.id, pod.config, config);
  return {
    done: () => exited(client, containerId),
    remove: async () => {
      const { size } = statSync(join(pod.dir, logPath));
      await client.removeContainer({ containerId });
      rmSync(join(pod.dir, logPath));
      if (size < pod.bytes) {
        throw new Error(`${pod.server.name}: a log of ${size} bytes, not ${pod.bytes}`);
      }
    },
  };
}

async function flood(pod: LoggingPod, length: number) {
  const { server, stamps, bytes } = pod;
  const pids = [server.pid, ...(await server.helpers())];
  const log = await start(pod, stamps.flood(length, bytes, LAUNCH));
  await stamps.flooding('begun');
  const before = cpuOf(pids).own;
  // To ask a server takes its CPU time: only once its answer may be yes.
  await stamps.flooding('over');
  await log.done();
  const now = process.hrtime.bigint();
  const cpu = (cpuOf(pids).own - before) / (bytes / 1e6);
  await log.remove();
  return { speed: bytes / 1e3 / millisecondsBetween(stamps.take(), now), cpu };
}

/** Probes beside a container that waits, then beside one that writes all the time. */
async function neighbour(pod: LoggingPod, probes: number, latency: SeriesMap) {
  const { client, name } = pod.server;
  const containerId = await runContainer(client, pod.id, pod.config, containerConfig('neighbour'));
  const probe = async (what: string) => {
    const [ms] = await timed(() => client.execSync({ containerId, cmd: ['/bin/true'] }));
    addTo(latency, name, { [what]: ms });
  };
  for (let count = 0; count < probes; count += 1) await probe(QUIET);
  let going = true;
  const writing = (async () => {
    while (going) {
      const log = await start(pod, [PAYLOAD, 'flood', '100', String(pod.bytes)]);
      await log.done();
      await log.remove();
    }
  })();
  // Told below.
  writing.catch(() => {});
  try {
    for (let count = 0; count < probes; count += 1) await probe(LOUD);
  } finally {
    going = false;
    await writing;
  }
}
