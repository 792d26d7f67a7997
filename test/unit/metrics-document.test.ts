import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { serverMetrics } from '../../src/cli/server-metrics.ts';
import { metricDescriptors } from '../../src/cri/metrics/pod-metrics-message.ts';
import { addProcessMetrics } from '../../src/observe/process-metrics.ts';

const rows = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8')
  .split('\n')
  .map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')));

test('docs/metrics.md has every metric of containers, with its labels and help, and no other', () => {
  const documented = rows.filter(([name]) => /^`container_\w+`$/.test(name ?? ''));
  const own = documented.filter((row) => row.length === 3 && row[2]?.endsWith('.'));
  assert.deepEqual(
    own.map(([name, labels, help]) => `${name} ${labels} ${help}`).sort(),
    metricDescriptors()
      .map(({ name, labelKeys, help }) => {
        const labels = labelKeys.slice(6).map((label) => `\`${label}\``);
        return `\`${name}\` ${labels.join(', ')} ${help}`;
      })
      .sort(),
  );
});

test('and every metric of the server', () => {
  const { metrics } = serverMetrics(() => undefined);
  addProcessMetrics(metrics)();
  const served = [...metrics.text().matchAll(/^# HELP (\w+) (.*)$/gm)].map(
    (m) => `\`${m[1]}\` ${m[2]}`,
  );
  const documented = rows
    .filter(([name]) => /^`(coracle|process|nodejs)_\w+`$/.test(name ?? ''))
    .map(([name, help]) => `${name} ${help}`);
  assert.deepEqual(documented.sort(), served.sort());
});
