import { coracleServer } from './hosts/coracle-server.ts';
import {
  containerConfig,
  exited,
  podConfig,
  removePod,
  runContainer,
  runPod,
} from './hosts/cri.ts';
import { type Host, PAYLOAD } from './hosts/host.ts';
import { markdown } from './report/format.ts';

/** The histogram that a server keeps of what each part of its launches takes. */
const PHASES = 'coracle_launch_phase_seconds';

export interface Phase {
  /** "container" or "exec". */
  kind: string;
  phase: string;
  count: number;
  /** Seconds. */
  mean: number;
  /** Upper bound of the bucket that has the median, and that has the 99th percentile; seconds. */
  median: number;
  p99: number;
}

/**
 * Launches containers in a server of its own, and a command in one each time, and tells where their
 * time went, as a table.
 */
export async function printPhases(host: Host, launches: number): Promise<string> {
  await using server = await coracleServer(host, 'host');
  const { client } = server;
  const config = podConfig('phases', 0, 'host');
  const pod = await runPod(client, config);
  const waiting = await runContainer(client, pod, config, containerConfig('payload'));
  for (let count = 0; count < launches; count += 1) {
    const container = containerConfig(`c-${count}`, [PAYLOAD, 'stamp', '/dev/null']);
    const containerId = await runContainer(client, pod, config, container);
    await exited(client, containerId);
    await client.removeContainer({ containerId });
    await client.execSync({ containerId: waiting, cmd: ['/bin/true'], timeout: 10n });
  }
  const response = await fetch(server.metrics);
  const phases = readPhases(await response.text());
  await removePod(client, pod);
  const ms = (seconds: number) => (seconds * 1000).toFixed(3);
  return markdown([
    ['launch of', 'phase', 'launches', 'mean ms', 'median ≤ ms', 'p99 ≤ ms'],
    ['---', '---', '---:', '---:', '---:', '---:'],
    ...phases.map((p) => [p.kind, p.phase, String(p.count), ms(p.mean), ms(p.median), ms(p.p99)]),
  ]);
}

/** From Prometheus' text format, in its order; without those that no launch has had. */
export function readPhases(text: string): Phase[] {
  const samples = [...text.matchAll(new RegExp(`^${PHASES}_(\\w+)\\{(.*)\\} (\\S+)$`, 'gm'))].map(
    ([, what = '', labels = '', value = '']) => {
      const label = (name: string) => new RegExp(`\\b${name}="([^"]*)"`).exec(labels)?.[1] ?? '';
      return { what, kind: label('kind'), phase: label('phase'), le: label('le'), value: +value };
    },
  );
  return samples
    .filter(({ what, value }) => what === 'count' && value > 0)
    .map(({ kind, phase, value: count }) => {
      const own = samples.filter((each) => each.kind === kind && each.phase === phase);
      const sum = own.find(({ what }) => what === 'sum')?.value ?? NaN;
      const buckets = own.filter(({ what }) => what === 'bucket');
      const quantile = (q: number) => {
        const le = buckets.find(({ value }) => value >= q * count)?.le;
        return le === '+Inf' ? Infinity : Number(le);
      };
      return { kind, phase, count, mean: sum / count, median: quantile(0.5), p99: quantile(0.99) };
    });
}
