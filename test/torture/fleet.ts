/** Containers that log all the while, and a server that is killed under them again and again. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerState } from '../../src/cri/gen/cri.ts';
import { kill } from './chaos.ts';
import { begun, checkOutput, ended, signalOwn } from './drive-container.ts';
import { checkGone, endPod, newPod } from './drive-pod.ts';
import { createContainer, startContainer } from './make-container.ts';
import { makePod } from './make-pod.ts';
import type { ContainerModel, PodModel } from './model.ts';
import type { ContainerPlan, PodPlan } from './plan.ts';
import type { Random } from './random.ts';
import { follow, read } from './readers.ts';
import type { Run } from './run.ts';
import { look, whileRunning } from './while-running.ts';

const PER_POD = 5;
/** All containers are looked at after this many kills. */
const ROUND = 50;
const PROGRESS = 100;

export async function killFleet(run: Run): Promise<void> {
  const { kills, containers } = run.options;
  const random = run.random('fleet');
  const pods: PodModel[] = [];
  for (let n = 0; n < Math.ceil(containers / PER_POD); n += 1) pods.push(await makeOne(run, n));
  const fleet = pods.flatMap((pod) => pod.containers);
  const reading = new AbortController();
  const beside = [read(run, 'reader', reading.signal), follow(run, reading.signal)];
  const deeds = actOn(run, fleet, reading.signal);
  for (let n = 1; n <= kills && !run.violations.fatal; n += 1) {
    await oneKill(run, random);
    if (n % PROGRESS === 0) console.log(`torture: ${n} kills of the server`);
    if (n % ROUND === 0) {
      await replaceSome(run, fleet, random);
      await lookAtAll(run, fleet);
    }
  }
  if (!run.server.serves) await serve(run);
  await lookAtAll(run, fleet);
  reading.abort();
  await deeds;
  await finish(run, fleet, random);
  await Promise.all(beside);
  for (const pod of pods) {
    await endPod(run, pod, random);
    await checkGone(run, pod);
  }
}

/** One kill at a random moment, a third of them while the server recovers. */
async function oneKill(run: Run, random: Random): Promise<void> {
  const early = random.chance(33);
  const after = random.int(0, early ? 500 : 400);
  if (!run.server.serves) {
    run.server.spawn();
    const serves = run.server.answering();
    if (!early) await serves;
  }
  await sleep(after);
  await kill(run);
}

async function serve(run: Run): Promise<void> {
  run.server.spawn();
  await run.server.answering();
}

async function makeOne(run: Run, n: number): Promise<PodModel> {
  const random = run.random(`fleet ${n}`);
  const pid = random.pick(['pod', 'container'] as const);
  const plan: PodPlan = { name: `f${n}`, network: 'pod', pid, width: PER_POD, depth: 1 };
  const pod = newPod(run, plan);
  await makePod(run, pod, random);
  run.done.pods += 1;
  const left = run.options.containers - n * PER_POD;
  for (let i = 0; i < Math.min(left, PER_POD); i += 1)
    await addWriter(run, pod, `f${n}c${i}`, random);
  return pod;
}

async function addWriter(
  run: Run,
  pod: PodModel,
  key: string,
  random: Random,
): Promise<ContainerModel> {
  const container = run.container(key, pod, planWriter(random));
  const reader = run.observer.reader(key);
  await createContainer(run, container, random);
  await startContainer(run, reader, container, random);
  await look(run, reader, container);
  run.done.containers += 1;
  return container;
}

/** Some end while no server is there, are found to have ended well by the next, and are replaced. */
async function replaceSome(run: Run, fleet: ContainerModel[], random: Random): Promise<void> {
  const places = [random.int(0, fleet.length - 1), random.int(0, fleet.length - 1)];
  for (const place of new Set(places)) {
    const container = fleet[place];
    if (container === undefined) continue;
    await begun(run, container);
    finishAlone(container);
    if (!run.server.serves) await serve(run);
    // A log that is being rotated is not to be read.
    while (acting === container) await sleep(10);
    await ended(run, run.observer.reader(container.key), container);
    container.removeAsked = true;
    await run.rpc.sure('removeContainer', { containerId: container.id ?? '' });
    container.removedAt = run.model.tick();
    fleet[place] = await addWriter(run, container.pod, `${container.key}'`, random);
  }
}

function finishAlone(container: ContainerModel): void {
  container.finishAsked = true;
  signalOwn(container, container.seenPid ?? 0, 'SIGUSR1');
}

/** Writes without end, and ends with a code of its own when it is asked to. */
function planWriter(random: Random): ContainerPlan {
  return {
    lines: 0,
    longest: random.pick([200, 2_000, 20_000]),
    pauseUs: random.pick([20_000, 100_000, 400_000]),
    burst: random.int(1, 5),
    end: { kind: 'exit', number: random.int(0, 127) },
    term: { kind: 'exit', number: random.int(0, 127) },
    tty: false,
    seed: random.bits() >>> 1,
  };
}

/** The container that is acted on now. */
let acting: ContainerModel | undefined;

/** Execs, rotations and updates, here and there, while servers come and go. */
async function actOn(run: Run, fleet: ContainerModel[], signal: AbortSignal): Promise<void> {
  const random = run.random('deeds');
  const reader = run.observer.reader('deeds');
  while (!signal.aborted && !run.violations.fatal) {
    const container = random.pick(fleet);
    if (!container.finishAsked) {
      acting = container;
      await whileRunning(run, reader, container, random);
      acting = undefined;
    }
    await sleep(50);
  }
}

async function lookAtAll(run: Run, fleet: ContainerModel[]): Promise<void> {
  if (!run.server.serves) await serve(run);
  const reader = run.observer.reader('round');
  for (const container of fleet) {
    const found = await run.status(reader, container);
    if (found?.status.state !== ContainerState.CONTAINER_RUNNING) {
      run.violate(`${container.key} does not run: ${JSON.stringify(container.seenEnd)}`);
    }
    await look(run, reader, container);
  }
}

/** Half of them end while no server is there, the others by a stop. */
async function finish(run: Run, fleet: ContainerModel[], random: Random): Promise<void> {
  await kill(run);
  const alone = fleet.filter(() => random.chance(50));
  for (const container of alone) finishAlone(container);
  await sleep(random.int(0, 300));
  await serve(run);
  for (const container of fleet) {
    const reader = run.observer.reader(container.key);
    if (!alone.includes(container)) {
      container.termAsked = true;
      const request = { containerId: container.id ?? '', timeout: 30n };
      await run.rpc.sure('stopContainer', request);
      container.endedAt = run.model.tick();
    }
    await ended(run, reader, container);
    if (container.seenEnd === undefined) await checkOutput(run, container);
  }
}
