import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readExitRecord } from '../../../src/runtime/exit-record.ts';
import { disagreements, isMonitor } from './agreement.ts';
import type { Look, LookedContainer, Refused } from './doomed-server.ts';
import { type Cell, messageOf, type Outcome } from './matrix.ts';
import { release, type World } from './world.ts';

/** The monitor's failpoints, as docs/testing.md has them, but for those of system calls. */
export const MONITOR_POINTS = [
  ...['monitor.received', 'monitor.reply', 'launch.cloned', 'log.open', 'start.wake', 'log.write'],
  ...['exit-record.write', 'exit-record.rename', 'exit.announce', 'exit.reap'],
];

/** How long the end of a monitor may take to be told, ms. */
const TOLD_MS = 5_000;

/** The life of a pod: three containers run, of which one ends, one is stopped, one goes with it. */
interface Life {
  pod: string;
  monitorPid: number;
  fifo: string;
  ending: string;
  stopped: string;
  staying: string;
  /** Created, and never started. */
  waiting: string;
  /** Whose start was asked for. */
  begun: Set<string>;
  /** Exit codes that have been told. */
  codes: Map<string, number>;
}

type Step = readonly [name: string, act: (world: World, life: Life) => Promise<unknown>];

const STEPS: readonly Step[] = [
  [
    'run pod',
    async (world, life) => {
      life.pod = await world.server.ask('runPod', world.podConfig('pod'));
    },
  ],
  [
    'start',
    async (world, life) => {
      const { server } = world;
      life.fifo = await world.makeFifo();
      life.ending = await server.ask('create', life.pod, world.containerConfig(life.fifo));
      life.stopped = await server.ask('create', life.pod, world.containerConfig());
      life.staying = await server.ask('create', life.pod, world.containerConfig());
      life.waiting = await server.ask('create', life.pod, world.containerConfig());
      // Two are launched ahead: one of those that are started, and that which never is.
      for (const id of [life.ending, life.waiting]) await server.ask('embryo', id);
      for (const id of [life.ending, life.stopped, life.staying]) {
        life.begun.add(id);
        await server.ask('start', id);
      }
    },
  ],
  ['exec', (world, { ending }) => world.server.ask('exec', ending, ['echo', 'hello'])],
  [
    'exit',
    async (world, { fifo, ending }) => {
      await release(fifo, 1_000);
      await world.server.ask('exited', ending);
    },
  ],
  ['stop', (world, { stopped }) => world.server.ask('stop', stopped, 0)],
  ['remove', (world, { ending }) => world.server.ask('remove', ending)],
  ['stop pod', (world, { pod }) => world.server.ask('stopPod', pod)],
];

/**
 * How often a point is hit while the pod is stopped. A monitor that is killed in its last moments
 * cannot be told from one that has ended.
 */
const LAST_HITS: Record<string, number> = {
  'monitor.received': 2,
  'monitor.reply': 2,
  'exit-record.write': 1,
  'exit-record.rename': 1,
  'exit.announce': 1,
  'exit.reap': 1,
};

/** Lives a pod's life again and again, and kills its monitor at each hit of a point. */
export async function* killMonitors(world: World, point: string): AsyncGenerator<[Cell, Outcome]> {
  for (let hit = 1, last = 0; last < (LAST_HITS[point] ?? 0) || last === 0; hit += 1) {
    const { operation, outcome } = await liveUntil(world, point, hit);
    if (operation === LAST) last += 1;
    if (operation === LAST && LAST_HITS[point] === undefined) return;
    yield [{ operation, point, hit }, outcome];
  }
}

async function liveUntil(
  world: World,
  point: string,
  hit: number,
): Promise<{ operation: string; outcome: Outcome }> {
  const { server } = world;
  const life: Life = {
    ...{ pod: '', monitorPid: 0, fifo: '', ending: '', stopped: '', staying: '', waiting: '' },
    begun: new Set(),
    codes: new Map(),
  };
  await server.ask('armMonitors', `${point}=kill@${hit}`);
  for (const [operation, act] of STEPS) {
    const refused = await act(world, life).then(() => undefined, messageOf);
    await server.ask('armMonitors', '');
    // This goes to the monitor and back: what it had to do is done, or it is not there any more.
    const look = await server.ask('look');
    const pod = look.pods.find(({ id }) => id === life.pod);
    if (pod && operation === 'run pod') life.monitorPid = pod.monitorPid;
    if (!isMonitor(life.monitorPid, life.pod)) {
      return { operation, outcome: { met: true, problems: await wrong(world, life) } };
    }
    if (refused !== undefined) {
      await world.clear();
      return { operation, outcome: { met: false, problems: [refused] } };
    }
    for (const { id, state, exitCode } of look.containers) {
      if (state === 'exited') life.codes.set(id, exitCode);
    }
  }
  throw new Error('a pod that was stopped has a monitor');
}

/** What is wrong once the monitor is gone, and when all is removed. */
async function wrong(world: World, life: Life): Promise<string[]> {
  const { server } = world;
  const look = await untilTold(world, life);
  const problems = await disagreements(world, look);
  const pod = look.pods.find(({ id }) => id === life.pod);
  if (life.pod === '' && look.pods.length > 1) problems.push('a pod that failed is there');
  if (pod && pod.state !== 'notReady') problems.push('the pod is ready without a monitor');
  for (const container of look.containers) {
    if (container.podId === life.pod) problems.push(...(await wrongEnd(world, life, container)));
  }
  if (pod) {
    const late = server.ask('create', life.pod, world.containerConfig());
    problems.push(...(await refusal(late, 'a creation')));
    problems.push(...(await refusal(server.ask('start', life.waiting), 'a start', life.waiting)));
    await server.ask('stopPod', life.pod).catch((error) => problems.push(messageOf(error)));
  } else {
    const again = server.ask('runPod', world.podConfig('pod'));
    await again.catch((error) => problems.push(`the next pod: ${messageOf(error)}`));
  }
  const left = await world.clear();
  if (Object.keys(left).length > 0) problems.push(`left: ${JSON.stringify(left)}`);
  return problems;
}

/** Waits until nothing runs any more, so far as the runtime says. */
async function untilTold(world: World, { pod }: Life): Promise<Look> {
  for (const until = Date.now() + TOLD_MS; ; await sleep(5)) {
    const look = await world.server.ask('look');
    const runs =
      look.pods.some(({ id, state }) => id === pod && state === 'ready') ||
      look.containers.some(({ podId, state }) => podId === pod && state === 'running');
    if (!runs || Date.now() > until) return look;
  }
}

/** A start that was refused is 128; what has run has the code that its record holds, else 255. */
async function wrongEnd(world: World, life: Life, container: LookedContainer): Promise<string[]> {
  const { id, name, state, exitCode, reason } = container;
  const dir = join(world.server.dir, 'state/pods', life.pod, 'exits');
  const record = await readExitRecord(dir, id);
  if (!life.begun.has(id)) return state === 'created' ? [] : [`${name} was not begun, is ${state}`];
  if (state !== 'exited') return [`${name} was begun, and is ${state}`];
  const told = life.codes.get(id) ?? record?.exitCode;
  const own = id === life.ending ? 7 : 137;
  const allowed = told !== undefined ? [told] : reason === 'StartError' ? [128] : [255, own];
  return allowed.includes(exitCode) ? [] : [`${name} ended with ${exitCode}, not ${allowed}`];
}

/** Nothing may begin in the pod any more; what was not created cannot be started either. */
async function refusal(call: Promise<unknown>, what: string, id = 'any'): Promise<string[]> {
  try {
    await call;
    return id === '' ? [] : [`${what} succeeded without a monitor`];
  } catch (error) {
    const { kind } = error as Refused;
    const right = kind === 'FailedPrecondition' || (id === '' && kind === 'InvalidArgument');
    return right ? [] : [`${what} was refused with ${kind}: ${messageOf(error)}`];
  }
}

const LAST = 'stop pod';
