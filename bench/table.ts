import type { RpcResults } from './rpc.ts';
import type { Summary } from './stats.ts';

/** A Markdown table, one row a contestant and phase, with the ratio of its total to Coracle's. */
export function launchTable(results: Record<string, Record<string, Summary>>): string {
  const ours = results.coracle?.total?.median;
  const rows = [
    ['', 'phase', 'min', 'median', 'p90', 'ratio of medians'],
    ['---', '---', '---:', '---:', '---:', '---:'],
  ];
  for (const [name, phases] of Object.entries(results)) {
    for (const [phase, { min, median, p90 }] of Object.entries(phases)) {
      const ratio = phase === 'total' && ours ? (median / ours).toFixed(2) : '';
      rows.push([name, phase, min.toFixed(2), median.toFixed(2), p90.toFixed(2), ratio]);
    }
  }
  return markdown(rows);
}

/** The same for the calls of a pod's life, with what the processes weigh below. */
export function rpcTable({ calls, memory }: RpcResults): string {
  const rows = [
    ['call', 'min', 'median', 'p90'],
    ['---', '---:', '---:', '---:'],
    ...Object.entries(calls).map(([call, { min, median, p90 }]) => [
      call,
      ...[min, median, p90].map((ms) => ms.toFixed(2)),
    ]),
  ];
  const kib = (bytes: number) => `${Math.round(bytes / 1024)} KiB`;
  return `${markdown(rows)}

Server without pods: ${kib(memory.serverRss)} RSS. Monitor of one pod: ${kib(memory.monitorPss)} PSS.`;
}

function markdown(rows: string[][]): string {
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n');
}
