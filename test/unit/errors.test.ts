import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { invalid, quote } from '../../src/errors.ts';

test('a refusal shows the beginning of a long value, and all of what is wrong with it', () => {
  const { message } = invalid('config.hostname', 'x'.repeat(1 << 20), 'is too long');
  assert.match(message, /^config\.hostname: "xxx/);
  assert.ok(message.endsWith('… is too long'));
  assert.ok(message.length < 600);
});

test('whatever a value is, it is shown as text that can be encoded', () => {
  const circular: Record<string, unknown> = {};
  circular.self = circular;
  assert.equal(quote(circular), 'object');
  assert.equal(quote(undefined), 'undefined');
  assert.equal(quote({ a: 1n }), '{"a":"1"}');
  assert.equal(quote(Symbol('x')), 'Symbol(x)');
  const any = fc.oneof(
    fc.anything({ withBigInt: true }),
    fc.string({ unit: 'binary', minLength: 400 }),
  );
  fc.assert(
    fc.property(any, (value) => {
      encodeURI(quote(value));
    }),
  );
});
