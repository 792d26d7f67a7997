import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { deepFreeze } from '../../src/store/frozen.ts';
import { openStore } from '../../src/store/open.ts';
import { shareMembers } from '../../src/store/share.ts';

describe('shareMembers', () => {
  it('never changes what a value is, whatever the other one is', () => {
    const text = fc.oneof(fc.constantFrom('a', 'b', '__proto__', 'length', '0'), fc.string());
    const { tree } = fc.letrec((tie) => ({
      leaf: fc.oneof(text, fc.integer(), fc.constantFrom(null, true, 5n)),
      tree: fc.oneof(
        { maxDepth: 4 },
        tie('leaf'),
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(text, tie('tree'), { maxKeys: 4 }).map((made) => ({ ...made })),
      ),
    }));
    fc.assert(
      fc.property(tree, tree, (value, like) => {
        const before = structuredClone(value);
        deepFreeze(like);
        assert.deepEqual(deepFreeze(shareMembers(value, like)), before);
      }),
      { numRuns: 5000 },
    );
  });

  it('shares what is equal as a whole, however deep, and not what only begins so', () => {
    const like = {
      id: 'a',
      spec: { calls: ['read', 'write'], mounts: [{ to: '/proc' }, { to: '/dev' }] },
    };
    deepFreeze(like);
    const value = {
      id: 'b',
      spec: { calls: ['read', 'write', 'open'], mounts: [{ to: '/proc' }] },
    };
    shareMembers(value, like);
    assert.notEqual(value.spec.calls, like.spec.calls);
    assert.notEqual(value.spec.mounts, like.spec.mounts);
    assert.equal(value.spec.mounts[0], like.spec.mounts[0]);
    const same = structuredClone({ ...like, id: 'c' });
    shareMembers(same, like);
    assert.equal(same.spec, like.spec);
  });

  it('keeps an array and an object with the same members apart', () => {
    const like = deepFreeze({ list: ['x'] });
    assert.deepEqual(shareMembers({ list: { 0: 'x' } }, like), { list: { 0: 'x' } });
  });

  it('leaves keys named __proto__ what they are', () => {
    const made = () => JSON.parse('{"labels":{"__proto__":{"a":"b"},"c":"d"}}') as object;
    const shared = shareMembers(made(), deepFreeze(made()));
    assert.equal(JSON.stringify(shared), JSON.stringify(made()));
  });
});

it('rows of a table share what is equal, as written and as read again', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'share-'));
  t.after(() => rm(directory, { recursive: true }));
  const row = (id: string) => ({ id, calls: ['read', 'write'], labels: { id } });
  const same = (table: { get(key: string): { calls: string[]; labels: object } | undefined }) => {
    assert.deepEqual([table.get('a'), table.get('b')], [row('a'), row('b')]);
    assert.equal(table.get('a')?.calls, table.get('b')?.calls);
    assert.notEqual(table.get('a')?.labels, table.get('b')?.labels);
  };
  const store = await openStore(directory);
  const table = store.table<ReturnType<typeof row>>('rows');
  await table.put('a', row('a'));
  await table.put('b', row('b'));
  same(table);
  await store.close();
  const again = await openStore(directory);
  same(again.table<ReturnType<typeof row>>('rows'));
  await again.close();
});
