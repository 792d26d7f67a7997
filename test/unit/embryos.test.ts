import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { deferred } from '../../src/runtime/deferred.ts';
import { Embryos } from '../../src/runtime/embryos.ts';
import type { PodMonitor } from '../../src/runtime/monitors.ts';
import type { ContainerIo } from '../../src/runtime/stdio.ts';
import { Task } from '../../src/runtime/task.ts';

const MOST = 64;

/** A monitor whose launches come to their end when they are told to, and what it was asked for. */
function fakeMonitor() {
  const asked: string[] = [];
  const launches = new Map<string, ReturnType<typeof deferred<object>>>();
  const monitor = {
    connection: {
      launch: (id: string) => launches.get(id)?.promise,
      async delete(id: string) {
        asked.push(`delete ${id}`);
      },
    },
    armExit: () => new Promise(() => {}),
    disarm: () => {},
  } as unknown as PodMonitor;
  const launch = (id: string) => {
    const launched = deferred<object>();
    launches.set(id, launched);
    return () => Task.create(monitor, id, id as never, { embryo: true } as never);
  };
  return {
    monitor,
    asked,
    launch,
    launched: (id: string) => launches.get(id)?.resolve({ times: {}, pipes: [] }),
  };
}

/** Until all that is ready to run has run. */
const turn = () => new Promise(setImmediate);

const clock = (t: TestContext) => t.mock.timers.enable({ apis: ['setTimeout'] });

describe('Embryos', () => {
  it('should keep 64 at most', async () => {
    const { monitor, launch, launched } = fakeMonitor();
    const embryos = new Embryos();
    for (let n = 0; n < MOST; n += 1) {
      assert.equal(embryos.accepts(`${n}`), true);
      embryos.add(`${n}`, monitor, launch(`${n}`));
    }
    assert.equal(embryos.accepts('one more'), false);
    launched('0');
    assert.equal((await embryos.take('0'))?.id, '0');
    assert.equal(embryos.accepts('one more'), true);
    assert.equal(embryos.accepts('1'), false, 'it has one');
    for (let n = 1; n < MOST; n += 1) launched(`${n}`);
    await embryos.dropAll();
    assert.equal(embryos.size, 0);
  });

  it('should let go of one that nobody starts for 30 s', async (t) => {
    clock(t);
    const { monitor, asked, launch, launched } = fakeMonitor();
    const embryos = new Embryos();
    embryos.add('a', monitor, launch('a'));
    launched('a');
    await turn();
    assert.equal(embryos.waiting(monitor), 1);
    t.mock.timers.tick(29_999);
    assert.deepEqual([embryos.size, asked], [1, []]);
    t.mock.timers.tick(1);
    await turn();
    assert.deepEqual([embryos.size, asked], [0, ['delete a']]);
    assert.equal(await embryos.take('a'), undefined);
  });

  it('should hold up who lets go of one that hangs for 5 s in all, and end it when it can', async (t) => {
    clock(t);
    const { monitor, asked, launch, launched } = fakeMonitor();
    const embryos = new Embryos();
    embryos.add('a', monitor, launch('a'));
    let waits = 2;
    for (const drop of [embryos.drop('a'), embryos.drop('a')]) drop.then(() => (waits -= 1));
    assert.equal(embryos.accepts('a'), false);
    await turn();
    t.mock.timers.tick(4_999);
    await turn();
    assert.equal(waits, 2);
    t.mock.timers.tick(1);
    await turn();
    assert.equal(waits, 0);
    await embryos.drop('a');
    const take = embryos.take('a');
    const before = asked.length;
    launched('a');
    assert.equal(await take, undefined);
    assert.equal(asked.length, before + 1, 'what came of the launch is deleted');
    assert.equal(embryos.accepts('a'), true);
  });

  it('should ask again for the end of one whose launch had not got to its monitor', async (t) => {
    clock(t);
    const { monitor, asked, launch, launched } = fakeMonitor();
    const embryos = new Embryos();
    embryos.add('a', monitor, launch('a'));
    const drop = embryos.drop('a');
    await turn();
    assert.equal(asked.length, 1);
    t.mock.timers.tick(50);
    await turn();
    t.mock.timers.tick(100);
    await turn();
    assert.equal(asked.length, 3);
    launched('a');
    await drop;
  });

  it('should give none to a start that wants its streams elsewhere', async () => {
    const { monitor, asked, launch, launched } = fakeMonitor();
    const embryos = new Embryos();
    const io = {} as ContainerIo;
    embryos.add('to the log', monitor, launch('to the log'));
    embryos.add('to us', monitor, launch('to us'), io);
    embryos.add('elsewhere', monitor, launch('elsewhere'), io);
    for (const id of ['to the log', 'to us', 'elsewhere']) launched(id);
    assert.equal(await embryos.take('to the log', io), undefined);
    assert.equal(await embryos.take('elsewhere'), undefined);
    assert.equal((await embryos.take('to us', io))?.id, 'to us');
    assert.deepEqual([...new Set(asked)].sort(), ['delete elsewhere', 'delete to the log']);
  });

  it('should have none of a launch that failed', async () => {
    const { monitor } = fakeMonitor();
    const embryos = new Embryos();
    embryos.add('a', monitor, () => Promise.reject(new Error('no')));
    assert.equal(await embryos.take('a'), undefined);
    embryos.add('b', monitor, () => Promise.reject(new Error('no')));
    await turn();
    assert.equal(embryos.size, 0);
  });
});
