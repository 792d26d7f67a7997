import { setTimeout as sleep } from 'node:timers/promises';
import { type Benchmark, roundsOf } from '../benchmark.ts';
import {
  type CriServer,
  containerConfig,
  openCriServers,
  podConfig,
  removePod,
  runContainer,
  runPod,
} from '../hosts/cri.ts';
import { cpuOf } from '../hosts/proc.ts';
import { type Row, row, rowsOf } from '../outcome.ts';
import { type Contestant, interleave, timed } from '../stats.ts';

/** Probes a second. */
const RATE = 100;

export const exec: Benchmark = {
  name: 'exec',
  title: 'Exec',
  about:
    `ExecSync of \`true\`, one after another; then ${RATE} a second, as probes come, with the CPU that ` +
    'server and monitor (or shim) take for them. What the probes themselves take, and programs that ' +
    'a shim starts for them, is told apart.',
  run: async (request) => {
    const rounds = roundsOf(request, { full: 100, quick: 20, smallest: 1 });
    const seconds = { full: 60, quick: 3, smallest: 0.3 }[request.size];
    await using opened = await openCriServers(request.host, 'host');
    const contestants: Contestant[] = [];
    const places: { server: CriServer; pod: string; container: string }[] = [];
    for (const server of opened.servers) {
      const config = podConfig('exec', 0, 'host');
      const pod = await runPod(server.client, config);
      const container = await runContainer(server.client, pod, config, containerConfig('payload'));
      places.push({ server, pod, container });
      const once = async () => ({ 'ExecSync true': await probe(server, container) });
      contestants.push({ name: server.name, once });
    }
    const series = await interleave(contestants, rounds, request.size === 'smallest' ? 0 : 3);
    const rows = rowsOf(series, 'ms');
    for (const { server, container } of places) {
      rows.push(...(await probes(server, container, seconds)));
    }
    for (const { server, pod } of places) await removePod(server.client, pod);
    const whats = ['CPU of server and monitor', 'CPU of the probes'];
    return {
      rows,
      charts: [
        { kind: 'bars', title: 'ExecSync of true', unit: 'ms', whats: ['ExecSync true'] },
        { kind: 'bars', title: `${RATE} probes a second`, unit: '% of a core', whats },
      ],
      notes: [`${rounds} rounds; probes for ${seconds} s.`, ...opened.notes],
    };
  },
};

async function probe({ client }: CriServer, containerId: string): Promise<number> {
  const [ms, { exitCode }] = await timed(() =>
    client.execSync({ containerId, cmd: ['/bin/true'], timeout: 10n }),
  );
  if (exitCode !== 0) throw new Error(`/bin/true ended with ${exitCode}`);
  return ms;
}

async function probes(server: CriServer, container: string, seconds: number): Promise<Row[]> {
  const pids = [server.pid, ...(await server.helpers())];
  const before = cpuOf(pids);
  const begin = performance.now();
  const running: Promise<number>[] = [];
  for (let count = 0; count < seconds * RATE; count += 1) {
    const wait = begin + (count * 1000) / RATE - performance.now();
    if (wait > 0) await sleep(wait);
    running.push(probe(server, container));
  }
  const latencies = await Promise.all(running);
  const elapsed = performance.now() - begin;
  const after = cpuOf(pids);
  const share = (from: number, to: number) => ((to - from) / elapsed) * 100;
  const { name } = server;
  return [
    row(name, `ExecSync true, ${RATE} a second`, 'ms', ...latencies),
    row(name, 'CPU of server and monitor', '% of a core', share(before.own, after.own)),
    row(name, 'CPU of the probes', '% of a core', share(before.children, after.children)),
  ];
}
