/**
 * Requests that somebody who means harm, or knows no better, may send: each is answered in time, with
 * a code that says whose fault it is, and what fails leaves nothing.
 *
 * CORACLE_HOSTILE_SECONDS makes it go on for as long, CORACLE_HOSTILE_SEED repeats a run.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { status as Code } from '@grpc/grpc-js';
import fc from 'fast-check';
import { judge } from '../helpers/hostile/judge.ts';
import { anyBadRequest, goodRequest, set } from '../helpers/hostile/requests.ts';
import { type Place, placesIn, rpcs } from '../helpers/hostile/schema.ts';
import { ENDLESS } from '../helpers/hostile/values.ts';
import { HostileWorld } from '../helpers/hostile/world.ts';
import { settledLeaks, snapshot } from '../helpers/leaks.ts';

const seconds = Number(process.env.CORACLE_HOSTILE_SECONDS ?? 12);
const seed = Number(process.env.CORACLE_HOSTILE_SEED ?? Date.now() % 2 ** 31);

let world: HostileWorld;

before(async () => {
  world = await HostileWorld.make();
});
after(() => world?.close());

test('good requests of every RPC work, or say what they want', async () => {
  for (const rpc of rpcs) {
    const kinds = /^(RunPod|CreateC)/.test(rpc.name) ? [false, true] : [false];
    for (const rich of kinds) {
      const request = goodRequest(rpc.name, rich);
      const { code } = await judge(world, { rpc, request, changed: [] });
      const expected = EXPECTED[rpc.name] ?? [Code.OK];
      assert.ok(expected.includes(code), `${rpc.name} (${rich}): ${Code[code]}`);
    }
  }
});

/** Where not OK. */
const EXPECTED: Record<string, Code[]> = {
  GetContainerEvents: [Code.DEADLINE_EXCEEDED, Code.CANCELLED],
  CheckpointContainer: [Code.UNIMPLEMENTED],
  CheckpointPod: [Code.UNIMPLEMENTED],
  RestorePod: [Code.UNIMPLEMENTED],
  // There is no registry at that address; whether the call is over first is a matter of retries.
  PullImage: [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED],
  PullWithProgress: [Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED],
};

test('paths that lead to pipes, devices and loops hold up nobody', async () => {
  for (const rpc of rpcs.filter(({ name }) => /^(RunPod|CreateC|ImportI)/.test(name))) {
    for (const place of placesIn(rpc.request).filter(isHostPath)) {
      for (const path of ENDLESS) {
        const request = goodRequest(rpc.name, true);
        set(request, place, path);
        await judge(world, { rpc, request, changed: [place] });
      }
    }
  }
});

function isHostPath(place: Place): boolean {
  // Of these nothing is opened.
  const names = ['windows', 'sandbox_config', 'apparmor'];
  if (place.some(({ name }) => names.includes(name))) return false;
  return /^(host_path|localhost_ref|log_directory|log_path|path)$/.test(place.at(-1)?.name ?? '');
}

test('bad requests are refused, named, and leave nothing', {
  timeout: (seconds + 200) * 1000,
}, async (t) => {
  t.diagnostic(`CORACLE_HOSTILE_SEED=${seed}`);
  const told = new Map<string, number>();
  const property = fc.asyncProperty(anyBadRequest, async (bad) => {
    const { code } = await judge(world, bad);
    const key = `${bad.rpc.name} ${Code[code]}`;
    told.set(key, (told.get(key) ?? 0) + 1);
  });
  // As many as the time allows.
  await fc.assert(property, {
    seed,
    numRuns: 10_000_000,
    interruptAfterTimeLimit: seconds * 1000,
    markInterruptAsFailure: false,
    includeErrorInReport: true,
  });
  for (const [key, count] of [...told].sort()) t.diagnostic(`${count} ${key}`);
  assert.ok(told.size > 0);
});

test('after all that a pod comes and goes as ever, and leaves nothing', async () => {
  await world.ensure();
  const { pid, state } = world.server;
  const before = snapshot({ dirs: [state], pid });
  for (const name of ['RunPodSandbox', 'CreateContainer', 'ExecSync'] as const) {
    const rpc = rpcs.find((each) => each.name === name);
    assert.ok(rpc);
    const { code } = await judge(world, { rpc, request: goodRequest(name), changed: [] });
    assert.equal(code, Code.OK, name);
  }
  assert.deepEqual(await settledLeaks(before, { dirs: [state], pid }), {});
});
