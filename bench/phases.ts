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

/** The histogram that a server keeps of what each part of its launches takes, by label `phase`. */
export const PHASES = 'coracle_launch_phase_seconds';

export interface Phase {
  phase: string;
  count: number;
  /** Seconds. */
  mean: number;
  /** Upper bound of the bucket that has the median, and that has the 99th percentile; seconds. */
  median: number;
  p99: number;
}

/** Launches containers in a server of its own and tells where their time went, as a table. */
export async function printPhases(host: Host, launches: number): Promise<string> {
  await using server = await coracleServer(host, 'host');
  const { client } = server;
  const config = podConfig('phases', 0, 'host');
  const pod = await runPod(client, config);
  for (let count = 0; count < launches; count += 1) {
    const container = containerConfig(`c-${count}`, [PAYLOAD, 'stamp', '/dev/null']);
    const containerId = await runContainer(client, pod, config, container);
    await exited(client, containerId);
    await client.removeContainer({ containerId });
  }
  const response = await fetch(server.metrics);
  const phases = readPhases(await response.text());
  await removePod(client, pod);
  if (phases.length === 0) return `This server keeps no ${PHASES}.`;
  const ms = (seconds: number) => (seconds * 1000).toFixed(3);
  return markdown([
    ['phase', 'launches', 'mean ms', 'median ≤ ms', 'p99 ≤ ms'],
    ['---', '---:', '---:', '---:', '---:'],
    ...phases.map((p) => [p.phase, String(p.count), ms(p.mean), ms(p.median), ms(p.p99)]),
  ]);
}

/** From Prometheus' text format, in its order. */
export function readPhases(text: string): Phase[] {
  const names = [...text.matchAll(new RegExp(`^${PHASES}_count\\{(.*)\\} `, 'gm'))].map(
    ([, labels = '']) => /phase="([^"]*)"/.exec(labels)?.[1] ?? '',
  );
  return names.map((phase) => {
    const lines = text.split('\n').filter((line) => line.includes(`phase="${phase}"`));
    const value = (kind: string) =>
      Number(
        lines
          .find((line) => line.startsWith(`${PHASES}_${kind}{`))
          ?.split(' ')
          .at(-1),
      );
    const buckets = lines.flatMap((line) => {
      const found = /_bucket\{.*le="([^"]+)".*\} (\S+)/.exec(line);
      if (!found) return [];
      return [{ bound: found[1] === '+Inf' ? Infinity : Number(found[1]), upTo: Number(found[2]) }];
    });
    const count = value('count');
    const quantile = (q: number) => buckets.find(({ upTo }) => upTo >= q * count)?.bound ?? NaN;
    return { phase, count, mean: value('sum') / count, median: quantile(0.5), p99: quantile(0.99) };
  });
}
