import { OURS, type Row } from '../outcome.ts';
import { verdicts } from './budgets.ts';
import { figure, markdown } from './format.ts';
import type { BenchmarkResult, Results } from './results.ts';

/** All tables, without charts: for a terminal. */
export function tables(results: Results): string {
  const parts = results.benchmarks.map((each) => section(each, []));
  return [machineTable(results), ...parts, '## Budgets', budgetTable(results)].join('\n\n');
}

/** One benchmark; `charts` are the files of its charts. */
export function section(result: BenchmarkResult, charts: string[]): string {
  const { name, title, about, rows, notes, seconds } = result;
  const images = charts.map((file, index) => `![${result.charts[index]?.title ?? ''}](${file})`);
  const took = `Took ${figure(seconds)} s.`;
  return [
    `## ${title} (\`${name}\`)`,
    about,
    ...images,
    rowTable(rows),
    [...notes, took].join(' '),
  ].join('\n\n');
}

/** A row a thing and contestant: median, the quartiles about it, p99, and what it is to ours. */
function rowTable(rows: readonly Row[]): string {
  const whats = [...new Set(rows.map(({ what }) => what))];
  const lines = whats.flatMap((what) => {
    const mine = rows.filter((each) => each.what === what);
    const ours = mine.find(({ who }) => who === OURS);
    return mine.map((each) => {
      const { n, min, q1, median, q3, p99 } = each.summary;
      const times = ours && each !== ours ? figure(median / ours.summary.median) : '';
      const spread = n > 1 ? `${figure(q1)}–${figure(q3)}` : '';
      const tail = n >= 100 ? figure(p99) : '';
      const unit = each.moreIsBetter ? `${each.unit} (more is better)` : each.unit;
      return [what, each.who, figure(median), spread, figure(min), tail, unit, String(n), times];
    });
  });
  return markdown([
    ['what', 'who', 'median', 'middle half', 'least', 'p99', 'unit', 'n', 'times Coracle'],
    ['---', '---', '---:', '---:', '---:', '---:', '---', '---:', '---:'],
    ...lines,
  ]);
}

export function budgetTable(results: Results): string {
  return markdown([
    ['what', 'budget', 'measured', 'met'],
    ['---', '---', '---', '---'],
    ...verdicts(results).map(({ what, budget, measured, met }) => [what, budget, measured, met]),
  ]);
}

export function machineTable({ machine, size }: Results): string {
  const load = (averages: number[] = []) => averages.map((each) => each.toFixed(2)).join(', ');
  const peers = Object.entries(machine.peers).map(([name, version]) => `${name} ${version}`);
  return markdown([
    ['machine', ''],
    ['---', '---'],
    ['processor', `${machine.processors} × ${machine.processor}`],
    ['memory', machine.memory],
    ['system', `${machine.distribution}, Linux ${machine.kernel}, cgroup ${machine.cgroups}`],
    ['Coracle', `${machine.coracle}; Node.js ${machine.node}`],
    ['peers', peers.join(', ') || 'none'],
    ['size', size],
    ['begun, ended', `${machine.begun}, ${machine.ended ?? ''}`],
    ['load at begin', load(machine.loadAtBegin)],
    ['load at end', load(machine.loadAtEnd)],
  ]);
}
