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
  return rows.map((row) => `| ${row.join(' | ')} |`).join('\n');
}
