import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { budgetTable, machineTable, section } from './markdown.ts';
import type { Results } from './results.ts';
import { barChart, lineChart } from './svg.ts';

/** Writes `report.md`, its charts, and `results.json`, from which all of it can be made again. */
export function writeReport(dir: string, results: Results): void {
  mkdirSync(dir, { recursive: true });
  for (const old of readdirSync(dir).filter((name) => name.endsWith('.svg')))
    rmSync(join(dir, old));
  const sections = results.benchmarks.map((result) => {
    const files = result.charts.map((chart, index) => {
      const file = `${result.name}-${index + 1}.svg`;
      const svg = chart.kind === 'bars' ? barChart(chart, result.rows) : lineChart(chart);
      writeFileSync(join(dir, file), svg);
      return file;
    });
    return section(result, files);
  });
  const head = [
    '# Benchmarks',
    'Made by one run of `npm run bench -- --report docs/benchmarks`; [how](README.md). Medians; "middle ' +
      'half" is between the quartiles. Contestants take turns, so that what else the machine does falls ' +
      'on all of them: ratios are firmer than times.',
    machineTable(results),
    '## Budgets',
    budgetTable(results),
  ];
  writeFileSync(join(dir, 'report.md'), `${[...head, ...sections].join('\n\n')}\n`);
  writeFileSync(join(dir, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
}
