import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../../src/observe/metrics.ts';
import { addProcessMetrics } from '../../src/observe/process-metrics.ts';

test('the text has a help and a type for each metric, and escapes what it must', () => {
  const metrics = new Metrics();
  const calls = metrics.counter('calls_total', 'Calls,\nall of them.');
  calls.add(1, { method: 'A', path: 'a"b\\c\nd' });
  calls.add(2, { method: 'A', path: 'a"b\\c\nd' });
  metrics.read('gauge', 'one', 'One.', () => 1);
  metrics.read('gauge', 'none', 'None.', () => []);
  metrics.read('gauge', 'two', 'Two.', () => [[2, { of: 'x' }], [3]]);
  assert.equal(
    metrics.text(),
    [
      '# HELP calls_total Calls,\\nall of them.',
      '# TYPE calls_total counter',
      'calls_total{method="A",path="a\\"b\\\\c\\nd"} 3',
      '# HELP one One.',
      '# TYPE one gauge',
      'one 1',
      '# HELP none None.',
      '# TYPE none gauge',
      '# HELP two Two.',
      '# TYPE two gauge',
      'two{of="x"} 2',
      'two 3',
      '',
    ].join('\n'),
  );
  assert.throws(() => metrics.counter('one', 'Again.'), /one already/);
});

test('buckets of a histogram count all that is at or below their bound', () => {
  const metrics = new Metrics();
  const times = metrics.histogram('seconds', 'Times.');
  for (const seconds of [0.0005, 0.0006, 0.3, 1000]) times.observe(seconds, { method: 'A' });
  const lines = metrics.text().split('\n');
  const bucket = (le: string) =>
    lines.find((line) => line.startsWith(`seconds_bucket{method="A",le="${le}"}`))?.split(' ')[1];
  assert.deepEqual(['0.0005', '0.001', '0.25', '0.5', '120', '+Inf'].map(bucket), [
    '1',
    '2',
    '2',
    '3',
    '3',
    '4',
  ]);
  assert.ok(lines.includes('seconds_count{method="A"} 4'));
  const sum = lines.find((line) => line.startsWith('seconds_sum'))?.split(' ')[1];
  assert.ok(Math.abs(Number(sum) - 1000.3011) < 1e-6);
});

test('a blocked event loop shows as its delay, once', async () => {
  const metrics = new Metrics();
  const stop = addProcessMetrics(metrics);
  const worst = () =>
    Number(/^coracle_event_loop_delay_seconds\{quantile="1"\} (\S+)$/m.exec(metrics.text())?.[1]);
  const next = async () => {
    for (;;) {
      const late = worst();
      if (!Number.isNaN(late)) return late;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  // The first look has nothing to compare with.
  await new Promise((resolve) => setTimeout(resolve, 150));
  const until = performance.now() + 400;
  while (performance.now() < until);
  const seen = await next();
  assert.ok(seen > 0.2 && seen < 5, `${seen} s`);
  assert.ok(!((await next()) >= seen), 'it is of the time since the last reading');
  stop();
});
