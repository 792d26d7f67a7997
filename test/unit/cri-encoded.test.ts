import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MethodDefinition } from '@grpc/grpc-js';
import { Encoded, encodedService, listEncoder } from '../../src/cri/encoded.ts';
import {
  Container,
  ContainerState,
  ListContainersResponse,
  RuntimeServiceService,
} from '../../src/cri/gen/cri.ts';

interface Item {
  readonly record: { readonly id: string };
  state: ContainerState;
}

const { CONTAINER_CREATED: created, CONTAINER_EXITED: exited } = ContainerState;

function message({ record, state }: Item): Container {
  return Container.fromPartial({ id: record.id, state, labels: { ['__proto__']: record.id } });
}

describe('a list that is encoded entry by entry', () => {
  let made = 0;
  const encode = listEncoder<Item>(
    ({ state }) => state,
    (item) => {
      made += 1;
      return ListContainersResponse.encode({ containers: [message(item)] }).finish();
    },
  );
  const whole = (items: Item[]) =>
    Buffer.from(ListContainersResponse.encode({ containers: items.map(message) }).finish());

  it('is byte for byte the message of all of it, also where an entry is empty', () => {
    const lists = [[], [''], ['a'], ['a', '', 'b'.repeat(300)]];
    for (const ids of lists) {
      const items = ids.map((id) => ({ record: { id }, state: created }));
      assert.deepEqual(encode(items).bytes, whole(items));
      assert.deepEqual(encode(items).bytes, whole(items), 'and again');
    }
  });

  it('encodes an entry again when its state has changed, and never one that has not', () => {
    const items = ['a', 'b'].map((id): Item => ({ record: { id }, state: created }));
    const [first] = items;
    assert.ok(first);
    made = 0;
    encode(items);
    encode(items.toReversed());
    assert.equal(made, 2);
    first.state = exited;
    assert.deepEqual(encode(items).bytes, whole(items));
    assert.equal(made, 3);
  });

  it('encodes an entry again when its record is another', () => {
    const before = { record: { id: 'a' }, state: created };
    const after = { record: { id: 'b' }, state: created };
    encode([before]);
    assert.deepEqual(encode([after]).bytes, whole([after]));
  });
});

it('a service takes bytes for a response, and responses as before', () => {
  const method = encodedService(RuntimeServiceService).listContainers as MethodDefinition<
    unknown,
    unknown
  >;
  const bytes = Buffer.from('anything');
  assert.equal(method.responseSerialize(new Encoded(bytes)), bytes);
  const response = { containers: [Container.fromPartial({ id: 'a' })] };
  assert.deepEqual(
    method.responseSerialize(response),
    RuntimeServiceService.listContainers.responseSerialize(response),
  );
});
