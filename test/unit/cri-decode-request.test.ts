import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MethodDefinition } from '@grpc/grpc-js';
import fc from 'fast-check';
import { Malformed, tolerantService, wellFormed } from '../../src/cri/decode-request.ts';
import {
  CreateContainerRequest,
  ListContainersRequest,
  RuntimeServiceService,
} from '../../src/cri/gen/cri.ts';

const service = tolerantService(RuntimeServiceService);

function decode(name: keyof typeof RuntimeServiceService, bytes: Uint8Array): unknown {
  const method = service[name] as MethodDefinition<unknown, unknown>;
  return wellFormed(method.requestDeserialize(Buffer.from(bytes)));
}

describe('a request on the wire', () => {
  it('is what was sent, byte order marks and all', () => {
    const request = CreateContainerRequest.fromPartial({
      podSandboxId: '\ufeffpod \u20ac',
      config: { command: ['', '\0'], labels: { a: 'b' } },
    });
    const bytes = CreateContainerRequest.encode(request).finish();
    assert.deepEqual(decode('createContainer', bytes), request);
  });

  it('has every key of a map that was sent', () => {
    const labels = { a: 'b', ['__proto__']: 'c', constructor: 'd' };
    const request = CreateContainerRequest.fromPartial({ config: { labels } });
    const decoded = decode('createContainer', CreateContainerRequest.encode(request).finish());
    const found = (decoded as CreateContainerRequest).config?.labels ?? {};
    assert.deepEqual(Object.entries(found), Object.entries(labels));
    assert.equal(Object.getPrototypeOf(found), Object.prototype);
  });

  it('is refused as a whole where it is none, with the place and the reason', () => {
    const cases: [Uint8Array, RegExp][] = [
      [
        Uint8Array.of(0x0a, 1, 0xff),
        /^request: at byte 3 it is no CreateContainerRequest: a string is not UTF-8$/,
      ],
      [Uint8Array.of(0x0a, 200), /premature EOF|varint/],
      [Uint8Array.of(0x12, 4, 0x0a, 2, 0x0a, 9), /premature EOF/],
      [Uint8Array.of(0, 1, 2), /a tag is none/],
      [Uint8Array.of(0x0c, 1), /a tag is none/],
    ];
    for (const [bytes, message] of cases) {
      assert.throws(() => decode('createContainer', bytes), { kind: 'InvalidArgument', message });
    }
  });

  it('has a bound on its parts, since each takes far more memory than bytes', () => {
    // Empty mounts of an empty configuration.
    const mounts = Buffer.alloc(2 << 20);
    for (let at = 0; at < mounts.length; at += 2) mounts[at] = 0x3a;
    const head = [0x12, ...varint(mounts.length)];
    assert.throws(() => decode('createContainer', Buffer.concat([Uint8Array.from(head), mounts])), {
      kind: 'InvalidArgument',
      message: /more than 1000000 parts/,
    });
  });

  it('never makes the decoder throw, whatever the bytes are', () => {
    const good = CreateContainerRequest.encode(
      CreateContainerRequest.fromPartial({
        podSandboxId: 'p',
        config: { command: ['a'], labels: { a: 'b' }, mounts: [{}], linux: { resources: {} } },
      }),
    ).finish();
    const change = fc.tuple(fc.nat(good.length - 1), fc.nat(255));
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.array(change, { minLength: 1, maxLength: 4 }).map((changes) => {
        const bad = Uint8Array.from(good);
        for (const [at, byte] of changes) bad[at] = byte;
        return bad;
      }),
    );
    const method = service.createContainer as MethodDefinition<unknown, unknown>;
    fc.assert(
      fc.property(bytes, (given) => {
        const request = method.requestDeserialize(Buffer.from(given));
        if (request instanceof Malformed) assert.equal(request.error.kind, 'InvalidArgument');
      }),
      { numRuns: 2000 },
    );
  });

  it('keeps every method what it was besides', () => {
    assert.deepEqual(Object.keys(service), Object.keys(RuntimeServiceService));
    const { path, requestSerialize } = RuntimeServiceService.listContainers;
    assert.equal(service.listContainers?.path, path);
    assert.equal(service.listContainers?.requestSerialize, requestSerialize);
    assert.deepEqual(decode('listContainers', new Uint8Array()), ListContainersRequest.create());
  });
});

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
