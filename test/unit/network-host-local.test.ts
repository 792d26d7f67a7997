import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CoracleError } from '../../src/errors.ts';
import { parseSubnet, type Subnet } from '../../src/network/cidr.ts';
import { HostLocal } from '../../src/network/host-local.ts';
import { MemoryAddressTable } from '../helpers/address-table.ts';

function subnets(...texts: string[]): Subnet[] {
  return texts.map((text) => {
    const subnet = parseSubnet(text);
    assert.ok(subnet);
    return subnet;
  });
}

const exhausted = (subnet: string) => (error: unknown) =>
  error instanceof CoracleError &&
  error.kind === 'ResourceExhausted' &&
  error.message === `subnet ${subnet} has no free address left`;

const small = subnets('10.9.0.0/29'); // .2 to .6

test('an address is committed under its sandbox before it is handed out', async () => {
  const table = new MemoryAddressTable();
  const [first] = await new HostLocal(table).allocate('pod', small);
  assert.equal(first, '10.9.0.2');
  assert.deepEqual(table.held(), { '10.9.0.2': 'pod' });
});

test('each subnet gives one address, in order', async () => {
  const table = new MemoryAddressTable();
  const dual = subnets('10.9.0.0/29', 'fd00:9::/64');
  const local = new HostLocal(table);
  assert.deepEqual(await local.allocate('a', dual), ['10.9.0.2', 'fd00:9::2']);
  assert.deepEqual(await local.allocate('b', dual), ['10.9.0.3', 'fd00:9::3']);
  await local.release('a');
  assert.deepEqual(table.held(), { '10.9.0.3': 'b', 'fd00:9::3': 'b' });
});

test('a freed address is the last one to be reused', async () => {
  const local = new HostLocal(new MemoryAddressTable());
  const order: (string | undefined)[] = [];
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) {
    order.push((await local.allocate(id, small))[0]);
    await local.release(id);
  }
  assert.deepEqual(
    order,
    [2, 3, 4, 5, 6, 2].map((n) => `10.9.0.${n}`),
  );
});

test('exhaustion names the subnet, and one free address is found wherever it is', async () => {
  const table = new MemoryAddressTable();
  const local = new HostLocal(table);
  for (const id of ['a', 'b', 'c', 'd', 'e']) await local.allocate(id, small);
  await assert.rejects(local.allocate('f', small), exhausted('10.9.0.0/29'));
  await local.release('c');
  assert.deepEqual(await local.allocate('f', small), ['10.9.0.4']);
  await assert.rejects(local.allocate('g', small), exhausted('10.9.0.0/29'));
  assert.equal(local.size, 5);
});

test('where the second subnet is exhausted the first one loses nothing', async () => {
  const table = new MemoryAddressTable();
  const local = new HostLocal(table);
  const dual = subnets('10.9.0.0/29', 'fd00:9::/126'); // ::2 and ::3
  await local.allocate('a', dual);
  await local.allocate('b', dual);
  await assert.rejects(local.allocate('c', dual), exhausted('fd00:9::/126'));
  assert.equal(Object.keys(table.held()).length, 4);
  assert.deepEqual(await local.allocate('d', small), ['10.9.0.4']);
});

test('concurrent pods never share an address', async () => {
  const table = new MemoryAddressTable();
  const local = new HostLocal(table);
  const net = subnets('10.9.0.0/24');
  const ids = Array.from({ length: 253 }, (_, i) => `pod${i}`);
  const given = await Promise.all(ids.map((id) => local.allocate(id, net)));
  assert.equal(new Set(given.flat()).size, 253);
  await assert.rejects(local.allocate('one more', net), exhausted('10.9.0.0/24'));
  assert.equal(Object.keys(table.held()).length, 253);
});

test('a sandbox that holds addresses gets no second set', async () => {
  const local = new HostLocal(new MemoryAddressTable());
  const both = await Promise.allSettled([local.allocate('a', small), local.allocate('a', small)]);
  assert.deepEqual(
    both.map((one) => one.status),
    ['fulfilled', 'rejected'],
  );
});

test('after a restart held addresses stay held and the round goes on', async () => {
  const table = new MemoryAddressTable();
  const before = new HostLocal(table);
  await before.allocate('live', small);
  await before.allocate('dead', small);
  await before.allocate('gone', small);
  await before.release('gone');

  const after = new HostLocal(new MemoryAddressTable(table.committed));
  assert.deepEqual(await after.reclaim(['live', 'unknown']), ['dead']);
  assert.deepEqual(table.held(), { '10.9.0.2': 'live' });
  assert.deepEqual(await after.allocate('new', small), ['10.9.0.5']);
});

test('an address of a former subnet stays with its pod until that is gone', async () => {
  const table = new MemoryAddressTable();
  await new HostLocal(table).allocate('old', small);
  const local = new HostLocal(table);
  assert.deepEqual(await local.allocate('new', subnets('10.10.0.0/29')), ['10.10.0.2']);
  await local.release('old');
  assert.deepEqual(table.held(), { '10.10.0.2': 'new' });
});

test('where the commit fails nothing is held', async () => {
  const table = new MemoryAddressTable();
  const local = new HostLocal(table);
  table.putFails = true;
  await assert.rejects(local.allocate('a', small), /ENOSPC/);
  table.putFails = false;
  assert.equal(local.size, 0);
  for (const id of ['a', 'b', 'c', 'd', 'e']) await local.allocate(id, small);
  assert.equal(Object.keys(table.held()).length, 5);
});

test('on a full disk a pod is released all the same, its address once the record is gone', async () => {
  const table = new MemoryAddressTable();
  const local = new HostLocal(table);
  for (const id of ['a', 'b', 'c', 'd', 'e']) await local.allocate(id, small);
  table.removeFails = true;
  await local.release('a');
  assert.equal(local.size, 4);
  await assert.rejects(local.allocate('f', small), exhausted('10.9.0.0/29'));
  table.removeFails = false;
  await local.release('nobody');
  assert.deepEqual(await local.allocate('f', small), ['10.9.0.2']);
});

test('property: whatever happens, records and pods agree and no address has two owners', async () => {
  const id = fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g');
  const action = fc.oneof(
    fc.record({ verb: fc.constant('allocate' as const), id }),
    fc.record({ verb: fc.constant('release' as const), id }),
    fc.record({ verb: fc.constant('restart' as const), id }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
      const table = new MemoryAddressTable();
      let local = new HostLocal(table);
      const owned = new Map<string, string>();
      for (const { verb, id } of actions) {
        if (verb === 'restart') {
          owned.delete(id);
          local = new HostLocal(new MemoryAddressTable(table.committed));
          await local.reclaim(owned.keys());
        } else if (verb === 'release') {
          owned.delete(id);
          await local.release(id);
        } else if (owned.has(id) || owned.size === 5) {
          await assert.rejects(local.allocate(id, small));
        } else {
          const [address] = await local.allocate(id, small);
          assert.ok(address && ![...owned.values()].includes(address));
          owned.set(id, address);
        }
        const expected = Object.fromEntries([...owned].map(([owner, ip]) => [ip, owner]));
        assert.deepEqual(table.held(), expected);
      }
    }),
    { numRuns: 60 },
  );
});
