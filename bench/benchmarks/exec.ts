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
import { OURS, rowsOf } from '../outcome.ts';
import { addTo, type Contestant, interleave, type SeriesMap, timed } from '../stats.ts';

/** Probes a second, and the most that wait for their answer at once: more would only wait longer. */
const RATE = 100;
const MOST = 32;

export const exec: Benchmark = {
  name: 'exec',
  title: 'Exec',
  about:
    `ExecSync of \`true\`, one after another; then ${RATE} a second, as probes come, or as many as ` +
    `there can be with ${MOST} at once, with the CPU that server and monitor (or shim) take for them. ` +
    'What the probes themselves take, and programs that a shim starts for them, is told apart.',
  run: async (request) => {
    const rounds = roundsOf(request, { full: 100, quick: 20, smallest: 1 });
    const spells = { full: 4, quick: 1, smallest: 1 }[request.size];
    const seconds = { full: 15, quick: 3, smallest: 0.3 }[request.size];
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
    const probed: Probed = {
      latency: new Map(),
      share: new Map(),
      each: new Map(),
      rate: new Map(),
    };
    const spell = places.map(({ server, container }) => {
      // Peers, which start programs for each probe, take their machine's whole time: shorter.
      const mine = server.name === OURS ? seconds : seconds / 3;
      return {
        name: server.name,
        once: async () => {
          await probes(server, container, mine, probed);
          return {};
        },
      };
    });
    await interleave(spell, spells, 0);
    const rows = [
      ...rowsOf(series, 'ms'),
      ...rowsOf(probed.latency, 'ms'),
      ...rowsOf(probed.share, '% of a core'),
      ...rowsOf(probed.each, 'CPU ms'),
      ...rowsOf(probed.rate, 'a second').map((each) => ({ ...each, moreIsBetter: true })),
    ];
    for (const { server, pod } of places) await removePod(server.client, pod);
    const whats = ['CPU of server and monitor', 'CPU of the probes'];
    return {
      rows,
      charts: [
        { kind: 'bars', title: 'ExecSync of true', unit: 'ms', whats: ['ExecSync true'] },
        { kind: 'bars', title: `${RATE} probes a second`, unit: '% of a core', whats },
      ],
      notes: [
        `${rounds} rounds; probes for ${spells} × ${seconds} s, a third of that with peers.`,
        ...opened.notes,
      ],
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

interface Probed {
  latency: SeriesMap;
  share: SeriesMap;
  each: SeriesMap;
  rate: SeriesMap;
}

async function probes(server: CriServer, container: string, seconds: number, into: Probed) {
  const { name } = server;
  const pids = [server.pid, ...(await server.helpers())];
  const before = cpuOf(pids);
  const begin = performance.now();
  const running = new Set<Promise<void>>();
  let count = 0;
  while (performance.now() - begin < seconds * 1000) {
    const wait = begin + (count * 1000) / RATE - performance.now();
    if (wait > 0) await sleep(wait);
    while (running.size >= MOST) await Promise.race(running);
    const one = probe(server, container).then((ms) => {
      addTo(into.latency, name, { [`ExecSync true, ${RATE} a second`]: ms });
      running.delete(one);
    });
    // Told below; the loop may be asleep when it fails.
    one.catch(() => {});
    running.add(one);
    count += 1;
  }
  await Promise.all(running);
  const elapsed = performance.now() - begin;
  const after = cpuOf(pids);
  const own = after.own - before.own;
  const children = after.children - before.children;
  addTo(into.share, name, {
    'CPU of server and monitor': (own / elapsed) * 100,
    'CPU of the probes': (children / elapsed) * 100,
  });
  addTo(into.each, name, { 'CPU for a probe': (own + children) / count });
  addTo(into.rate, name, { probes: (count / elapsed) * 1000 });
}
