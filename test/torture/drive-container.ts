import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerState } from '../../src/cri/gen/cri.ts';
import { checkLog } from './log-check.ts';
import { createContainer, startContainer } from './make-container.ts';
import { brief } from './make-pod.ts';
import type { ContainerModel, PodModel } from './model.ts';
import type { Reader } from './observer.ts';
import { planContainer } from './plan.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';
import { look, whileRunning } from './while-running.ts';

/** One container from its creation to its removal, or to the end of its pod. */
export async function driveContainer(run: Run, pod: PodModel, key: string): Promise<void> {
  const random = run.random(key);
  const plan = planContainer(random, pod.plan.pid);
  const container = run.container(key, pod, plan);
  const reader = run.observer.reader(key);
  run.trace.note({ who: key, plan });
  if (!(await createContainer(run, container, random))) return;
  run.done.containers += 1;
  if (!random.chance(5) && (await startContainer(run, reader, container, random))) {
    await look(run, reader, container);
    await whileRunning(run, reader, container, random);
    if (await end(run, container, random)) await ended(run, reader, container);
  }
  await remove(run, reader, container, random);
}

/** Lets it end, or ends it; false where that is left to its removal. */
async function end(run: Run, container: ContainerModel, random: Random): Promise<boolean> {
  const { plan, key } = container;
  const finite = plan.lines > 0 && plan.end.kind !== 'pause';
  const way = random.weighted({ wait: finite ? 50 : 0, stop: 25, finish: 15, kill: 5, remove: 5 });
  if (way === 'stop') return stop(run, container, random);
  if (way === 'wait') return true;
  if (way === 'remove') return false;
  const pid = container.seenPid;
  if (pid === undefined) return stop(run, container, random);
  await begun(run, container);
  const over = await run.trace.action(key, way);
  if (way === 'kill') container.killAsked = true;
  else container.finishAsked = true;
  over(signalOwn(container, pid, way === 'kill' ? 'SIGKILL' : 'SIGUSR1'));
  return true;
}

/** How long a program may take from its start to its first lines, on a machine that is busy, ms. */
const BEGIN_MS = 20_000;

/** Before it has begun its program knows nothing yet of what signals are to do. */
export async function begun(run: Run, container: ContainerModel): Promise<void> {
  const end = Date.now() + BEGIN_MS;
  while (container.progress().starts === 0 && Date.now() < end && !run.violations.fatal) {
    if (container.pod.failing || container.seenEnd !== undefined) return;
    await sleep(20);
  }
}

/** Signals its first process from the outside, if that is still its own. */
export function signalOwn(container: ContainerModel, pid: number, signal: NodeJS.Signals): string {
  if (container.seenEnd !== undefined || pid === 0) return 'ended';
  try {
    process.kill(pid, signal);
    return signal;
  } catch {
    return 'gone';
  }
}

async function stop(run: Run, container: ContainerModel, random: Random): Promise<boolean> {
  const { key } = container;
  const timeout = BigInt(random.pick([0, 0, 1, 1, 2, 30]));
  const patient = timeout === 30n && container.plan.term.kind === 'exit';
  const grace = patient || timeout < 30n ? timeout : 1n;
  const copies = random.chance(25) ? random.int(2, 3) : 1;
  const deadlineMs = random.chance(5) ? random.int(0, 500) : undefined;
  if (grace > 0n) await begun(run, container);
  const over = await run.trace.action(key, 'stopContainer', { grace, copies, deadlineMs });
  container.termAsked ||= grace > 0n;
  container.killAsked ||= grace < 30n;
  const request = { containerId: container.id ?? '', timeout: grace };
  const outcomes = await Promise.all(
    Array.from({ length: copies }, () => run.rpc.call('stopContainer', request, deadlineMs)),
  );
  over(outcomes.map(brief));
  if (outcomes.some(({ kind }) => kind === 'ok')) {
    container.endedAt = Math.min(container.endedAt, run.model.tick());
    return true;
  }
  for (const outcome of outcomes) {
    if (outcome.kind !== 'refused' || container.pod.failing || run.options.faults) continue;
    run.violate(`${key} does not stop: ${brief(outcome)}`);
  }
  container.killAsked = true;
  const again = await run.rpc.sure('stopContainer', { ...request, timeout: 0n });
  if (again.kind === 'ok') container.endedAt = Math.min(container.endedAt, run.model.tick());
  return true;
}

/** Waits for its end, and checks what is left of it. */
export async function ended(run: Run, reader: Reader, container: ContainerModel): Promise<void> {
  const over = await run.eventually(`${container.key} ends`, async () => {
    const found = await run.status(reader, container);
    if (!found) return 'gone';
    return found.status.state === ContainerState.CONTAINER_EXITED ? 'exited' : undefined;
  });
  if (over === 'exited') run.done.ends += 1;
  if (over !== undefined) await checkOutput(run, container);
}

/** Its program began as often as it was started, and its log is whole. */
export async function checkOutput(run: Run, container: ContainerModel): Promise<void> {
  const { key, pod, logFile } = container;
  const progress = container.progress();
  if (progress.starts > 1) run.violate(`the program of ${key} began ${progress.starts} times`);
  if (progress.starts === 0 && Number.isFinite(container.startedAt) && !pod.failing) {
    const { killAsked, seenEnd, faults } = container;
    if (!killAsked && !faults)
      run.violate(`the program of ${key} never began; it ended with ${seenEnd?.exitCode}`);
  }
  const log = await checkLog(logFile, key, progress, pod.monitorKilled);
  for (const problem of log.problems) run.violate(`the log of ${key}: ${problem}`);
  run.done.logLines += log.count.lines;
  run.done.logBytes += log.count.bytes;
}

async function remove(
  run: Run,
  reader: Reader,
  container: ContainerModel,
  random: Random,
): Promise<void> {
  const { key, pod } = container;
  const copies = random.chance(20) ? random.int(2, 3) : 1;
  const deadlineMs = random.chance(8) ? random.int(0, 20) : undefined;
  const over = await run.trace.action(key, 'removeContainer', { copies, deadlineMs });
  container.removeAsked = true;
  container.killAsked = true;
  const request = { containerId: container.id ?? '' };
  const outcomes = await Promise.all(
    Array.from({ length: copies }, () => run.rpc.call('removeContainer', request, deadlineMs)),
  );
  over(outcomes.map(brief));
  let removed = outcomes.some(({ kind }) => kind === 'ok');
  const busy = /already in removing state|in starting state/;
  for (const outcome of outcomes) {
    if (outcome.kind !== 'refused' || busy.test(outcome.message)) continue;
    if (!pod.failing && !run.options.faults)
      run.violate(`${key} is not removed: ${brief(outcome)}`);
  }
  while (!removed && !run.violations.fatal) {
    await sleep(20);
    removed = (await run.rpc.sure('removeContainer', request)).kind === 'ok';
  }
  if (!removed) return;
  container.removedAt = run.model.tick();
  const found = await run.status(reader, container);
  if (found) run.violate(`${key} has a status after its removal`);
  if (container.seenEnd === undefined && container.startAsked) await checkOutput(run, container);
}
