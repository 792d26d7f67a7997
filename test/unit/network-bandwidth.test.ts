import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseQuantity, podBandwidth } from '../../src/network/bandwidth.ts';

test('quantities are those of Kubernetes, rounded up', () => {
  const table: [text: string, value: bigint | undefined][] = [
    ['10M', 10_000_000n],
    ['1G', 1_000_000_000n],
    ['1.5Gi', 1_610_612_736n],
    ['0.1k', 100n],
    ['.5M', 500_000n],
    ['5.', 5n],
    ['2e6', 2_000_000n],
    ['2E6', 2_000_000n],
    ['25e-1', 3n],
    ['1E', 10n ** 18n],
    ['1Ei', 1n << 60n],
    ['1500m', 2n],
    ['1n', 1n],
    ['+7', 7n],
    ['-1k', -1000n],
    ['0', 0n],
    ['', undefined],
    ['.', undefined],
    ['M', undefined],
    ['1e', undefined],
    ['1K', undefined],
    ['1ki', undefined],
    ['1 M', undefined],
    ['1M\n', undefined],
    ['0x10', undefined],
    ['1e999', undefined],
    ['Infinity', undefined],
  ];
  for (const [text, value] of table) assert.equal(parseQuantity(text), value, text);
});

test('annotations are limits in bits per second', () => {
  assert.deepEqual(podBandwidth({ other: '1' }), {});
  assert.deepEqual(
    podBandwidth({
      'kubernetes.io/ingress-bandwidth': '1k',
      'kubernetes.io/egress-bandwidth': '1P',
    }),
    { ingress: 1000, egress: 1e15 },
  );
});

test('a value that is none, or out of range, names its annotation', () => {
  for (const [value, message] of [
    ['fast', /^annotations\["kubernetes.io\/egress-bandwidth"\]: "fast" is not a quantity/],
    ['', /is not a quantity/],
    ['999', /is not between 1k and 1P/],
    ['1001T', /is not between 1k and 1P/],
    ['-5M', /is not between 1k and 1P/],
  ] as const) {
    const annotations = { 'kubernetes.io/egress-bandwidth': value };
    assert.throws(() => podBandwidth(annotations), { kind: 'InvalidArgument', message });
  }
});
