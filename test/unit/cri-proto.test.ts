import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import * as generated from '../../src/cri/gen/cri.ts';

const proto = readFileSync(new URL('../../proto/cri.proto', import.meta.url), 'utf8').replace(
  /\/\/.*$/gm,
  '',
);
const exported = generated as unknown as Record<string, Record<string, unknown>>;

/** The name that ts-proto gives a field: the protocol's own where it has no underscores. */
function camel(field: string): string {
  return field.replace(/_([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

describe('proto/cri.proto and the code generated from it', () => {
  const services = [...proto.matchAll(/^service (\w+) \{([^}]*)\}/gm)];
  const messages = [...proto.matchAll(/^message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}/gm)];
  const enums = [...proto.matchAll(/^enum (\w+) \{([^}]*)\}/gm)];

  it('has all of CRI v1', () => {
    assert.equal(services.length, 2);
    assert.equal(proto.match(/\brpc /g)?.length, 43);
    assert.equal(messages.length, 175);
  });

  for (const [, service, body] of services) {
    it(`${service} has each rpc, at its path and with its kind of response`, () => {
      const definitions = exported[`${service}Service`] ?? {};
      const rpcs = [...(body ?? '').matchAll(/rpc (\w+)\((\w+)\)\s+returns \((stream )?(\w+)\)/g)];
      for (const [, name = '', , stream] of rpcs) {
        const definition = definitions[name[0]?.toLowerCase() + name.slice(1)] as
          | { path: string; responseStream: boolean }
          | undefined;
        assert.equal(definition?.path, `/runtime.v1.${service}/${name}`);
        assert.equal(definition?.responseStream, stream !== undefined, name);
      }
      assert.equal(Object.keys(definitions).length, rpcs.length);
    });
  }

  it('has each message with each field', () => {
    for (const [, name = '', body = ''] of messages) {
      const type = exported[name] as { create?(): Record<string, unknown> } | undefined;
      assert.ok(type?.create, `message ${name} is not generated`);
      const fields = body
        .replace(/enum \w+ \{[^}]*\}/g, '')
        .matchAll(/^\s*(?:repeated )?(?:map<string, string>|\w+) (\w+) = \d+/gm);
      const expected = [...fields].map(([, field = '']) => camel(field)).sort();
      assert.deepEqual(Object.keys(type.create()).sort(), expected, name);
    }
  });

  it('has each enum with its numbers', () => {
    for (const [, name = '', body = ''] of enums) {
      for (const [, value = '', number] of body.matchAll(/(\w+) = (\d+);/g)) {
        assert.equal(exported[name]?.[value], Number(number), `${name}.${value}`);
      }
    }
  });

  it('keeps 64-bit numbers exact and skips fields of a later version', () => {
    const { ContainerStatus, UInt64Value } = generated;
    const created = 1_764_000_000_123_456_789n;
    const bytes = ContainerStatus.encode(ContainerStatus.create({ createdAt: created })).finish();
    // Field 2047 with one byte of content, which no version has.
    const later = Uint8Array.of(...bytes, 0xfa, 0x7f, 0x01, 0x00);
    assert.equal(ContainerStatus.decode(later).createdAt, created);
    const most = 2n ** 64n - 1n;
    const round = UInt64Value.decode(UInt64Value.encode({ value: most }).finish());
    assert.equal(round.value, most);
  });
});
