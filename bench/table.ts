import type { RpcResults } from './rpc.ts';
import type { Summary } from './stats.ts';
import type { UnpackResults } from './unpack.ts';

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

/** MB/s of uncompressed bytes, by the median and the extremes of the times. */
export function unpackTable({ layer, times }: UnpackResults): string {
  const rows = [
    ['', 'from', 'median ms', 'min–max ms', 'MB/s', 'times Coracle'],
    ['---', '---', '---:', '---:', '---:', '---:'],
  ];
  for (const [name, forms] of Object.entries(times)) {
    for (const [form, { min, median, max }] of Object.entries(forms)) {
      const ours = times.coracle?.[form]?.median ?? Number.NaN;
      const rate = layer.bytes / 1e3 / median;
      const words = [median.toFixed(0), `${min.toFixed(0)}–${max.toFixed(0)}`, rate.toFixed(0)];
      rows.push([name, form === 'none' ? 'tar' : form, ...words, (median / ours).toFixed(2)]);
    }
  }
  const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;
  const { none, gzip, zstd } = layer.blobs;
  return `${markdown(rows)}

${layer.entries} entries; ${mb(none)} as tar, ${mb(gzip)} in gzip, ${mb(zstd)} in zstd.`;
}

function markdown(rows: string[][]): string {
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n');
}
