import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Row, row } from '../../bench/outcome.ts';
import { readPhases } from '../../bench/phases.ts';
import { verdicts } from '../../bench/report/budgets.ts';
import { figure } from '../../bench/report/format.ts';
import type { Results } from '../../bench/report/results.ts';
import { barChart, lineChart } from '../../bench/report/svg.ts';
import { interleave, summarise } from '../../bench/stats.ts';
import { Metrics } from '../../src/observe/metrics.ts';
import { LaunchPhases } from '../../src/runtime/launch-phases.ts';

function resultsOf(rows: Record<string, Row[]>): Results {
  const benchmarks = Object.entries(rows).map(([name, own]) => ({
    name,
    title: name,
    about: '',
    seconds: 1,
    rows: own,
    charts: [],
    notes: [],
  }));
  const machine = { peers: { crun: '1.8.1' } } as unknown as Results['machine'];
  return { machine, size: 'full', benchmarks };
}

const verdictOf = (results: Results, beginning: string) =>
  verdicts(results).find(({ what }) => what.startsWith(beginning));

test('a summary has the quartiles and the tail of its series', () => {
  const summary = summarise(Array.from({ length: 100 }, (_, index) => 99 - index));
  const { n, min, q1, median, q3, p99, max } = summary;
  assert.deepEqual([n, min, q1, median, q3, p99, max], [100, 0, 25, 50, 75, 99, 99]);
  assert.ok(Number.isNaN(summarise([]).median));
});

test('contestants take turns, and each round begins with another one', async () => {
  const order: string[] = [];
  const contestant = (name: string) => ({
    name,
    once: async () => {
      order.push(name);
      return { ms: order.length };
    },
  });
  const series = await interleave([contestant('a'), contestant('b')], 2, 1);
  assert.deepEqual(order, ['a', 'b', 'b', 'a', 'a', 'b']);
  assert.deepEqual(series.get('a')?.get('ms'), [4, 5], 'without the first round');
});

test('every budget is told, and what was not measured is not met', () => {
  const all = verdicts(resultsOf({}));
  assert.equal(all.length, 16);
  assert.deepEqual([...new Set(all.map(({ met }) => met))], ['not measured']);
});

test('a budget is met when every part of it is', () => {
  const call = 'StartContainer';
  const peers = (crun: number, runc: number) => [
    row('coracle', call, 'ms', 1),
    row('containerd + crun', call, 'ms', crun),
    row('containerd + runc', call, 'ms', runc),
  ];
  const met = (rows: Row[]) => verdictOf(resultsOf({ rpc: rows }), call)?.met;
  assert.equal(met(peers(20, 40)), 'yes');
  assert.equal(met(peers(20, 39)), 'no');
  assert.equal(met(peers(19, 40)), 'no');
  assert.equal(met(peers(20, 40).slice(0, 2)), 'not measured');
  assert.equal(met(peers(19, 40).slice(0, 2)), 'no');
});

test('limits hold in the unit and the direction that they have', () => {
  const logs = (speed: number) => {
    const cpu = [row('coracle', 'CPU, 100 B lines', 'CPU ms/MB', 1)];
    cpu.push(row('containerd + crun', 'CPU, 100 B lines', 'CPU ms/MB', 20));
    return resultsOf({ logs: [row('coracle', '100 B lines', 'MB/s', speed), ...cpu] });
  };
  assert.equal(verdictOf(logs(500), 'logs')?.met, 'yes');
  assert.equal(verdictOf(logs(499), 'logs')?.met, 'no');
  const memory = (kib: number) =>
    resultsOf({ scale: [row('coracle', 'memory for each pod, 500 pods', 'KiB', kib)] });
  assert.equal(verdictOf(memory(146), 'memory per pod')?.met, 'yes');
  assert.equal(verdictOf(memory(147), 'memory per pod')?.met, 'no');
  const list = 'ListContainers, 1000 containers';
  const tail = Array.from({ length: 100 }, (_, index) => (index < 99 ? 1 : 16));
  const status = resultsOf({ status: [row('coracle', list, 'ms', ...tail)] });
  assert.equal(verdictOf(status, 'ListContainers')?.met, 'no', 'by the 99th percentile');
});

test('figures have three digits', () => {
  assert.deepEqual([0, 0.01234, 1.2345, 12.345, 123.45, 1234.5, Number.NaN].map(figure), [
    '0',
    '0.0123',
    '1.23',
    '12.3',
    '123',
    '1235',
    '–',
  ]);
});

test('charts are well-formed whatever the names are', () => {
  const what = 'a < b & "c"';
  const rows = [row('coracle', what, 'ms', 1, 2, 3), row('x & <y>', what, 'ms', 40)];
  const bars = barChart({ kind: 'bars', title: what, unit: 'ms', whats: [what, 'none'] }, rows);
  assert.match(bars, /a &lt; b &amp; "c"/);
  assert.doesNotMatch(bars, /NaN|undefined|<y>/);
  assert.equal(bars.match(/<rect [^>]*height="16"/g)?.length, 2, 'a bar each');
  const points: [number, number][] = [
    [0, 0],
    [500, 7],
  ];
  const lines = [
    { label: 'a', points },
    { label: 'none', points: [] },
  ];
  const chart = lineChart({ kind: 'lines', title: 't', unit: 'ms', x: 'pods', lines });
  assert.doesNotMatch(chart, /NaN|undefined/);
  assert.equal(chart.match(/<circle /g)?.length, 2);
});

test('phases are read from the metrics of a server', () => {
  const launches = new LaunchPhases();
  for (let count = 0; count < 99; count += 1) launches.observe('container', { clone: 0.0004 });
  launches.observe('container', { clone: 0.2 });
  launches.observe('exec', { clone: 20 });
  const metrics = new Metrics();
  metrics.readHistogram('coracle_launch_phase_seconds', 'help', () => launches.histogram);
  const phases = readPhases(metrics.text());
  assert.deepEqual(
    phases.map(({ kind, phase, count, median, p99 }) => [kind, phase, count, median, p99]),
    [
      ['container', 'clone', 100, 0.0005, 0.0005],
      ['exec', 'clone', 1, Infinity, Infinity],
    ],
  );
  assert.ok(Math.abs((phases[0]?.mean ?? 0) - 0.002396) < 1e-9);
  assert.deepEqual(readPhases(''), []);
});
