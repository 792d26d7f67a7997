import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Container, PodSandboxState } from '../../src/cri/gen/cri.ts';
import { driveContainer } from './drive-container.ts';
import { brief, makePod } from './make-pod.ts';
import { PodModel } from './model.ts';
import { killMonitor } from './monitors.ts';
import { type PodPlan, planPod } from './plan.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';

const FIRST_PORT = 20_000;

/** One pod from its beginning to its removal, with containers side by side and one after another. */
export async function drivePod(run: Run, n: number): Promise<void> {
  const random = run.random(`p${n}`);
  await drivePlan(run, planPod(random, `p${n}`, FIRST_PORT + n), random);
}

/** A pod that was not left to chance. */
export async function drivePlan(run: Run, plan: PodPlan, random: Random): Promise<void> {
  const { name } = plan;
  const pod = newPod(run, plan);
  await makePod(run, pod, random);
  if (pod.id === undefined) return;
  run.done.pods += 1;
  const places = Array.from({ length: plan.width }, async (_, place) => {
    for (let i = 0; i < plan.depth && !run.over && !pod.failing; i += 1) {
      await driveContainer(run, pod, `${name}c${place}.${i}`);
    }
  });
  const blows = [
    after(plan.endsAfterMs, () => endPod(run, pod, random)),
    after(plan.monitorDiesAfterMs, () => loseMonitor(run, pod)),
  ];
  await Promise.all([...places, ...blows]);
  await checkMembers(run, pod);
  if (!pod.endAsked) await endPod(run, pod, random);
  await checkGone(run, pod);
}

export function newPod(run: Run, plan: PodPlan): PodModel {
  const pod = new PodModel(plan, join(run.dir, 'logs', plan.name));
  mkdirSync(pod.logDirectory);
  run.model.pods.set(plan.name, pod);
  run.trace.note({ who: plan.name, plan });
  return pod;
}

async function after(ms: number | undefined, deed: () => Promise<void>): Promise<void> {
  if (ms === undefined) return;
  await sleep(ms);
  await deed();
}

async function loseMonitor(run: Run, pod: PodModel): Promise<void> {
  if (pod.endAsked) return;
  const over = await run.trace.action(pod.plan.name, 'killMonitor');
  pod.monitorKilled = true;
  const found = killMonitor(pod.id ?? '');
  if (!found) run.violate(`${pod.plan.name} has no monitor to kill`);
  run.done.monitorKills += 1;
  over(found);
  await run.eventually(`${pod.plan.name} is NotReady without its monitor`, async () => {
    const outcome = await run.rpc.sure('podSandboxStatus', { podSandboxId: pod.id ?? '' });
    if (outcome.kind !== 'ok') return pod.endAsked ? true : undefined;
    return outcome.value.status?.state === PodSandboxState.SANDBOX_NOTREADY ? true : undefined;
  });
}

/** Stops and removes it, or removes it at once; each also twice at a time. */
export async function endPod(run: Run, pod: PodModel, random: Random): Promise<void> {
  const stops = random.weighted({ none: 3, one: 5, two: 2 });
  const removals = random.chance(20) ? 2 : 1;
  const podSandboxId = pod.id ?? '';
  const { name } = pod.plan;
  pod.endAsked = true;
  for (const verb of ['stopPodSandbox', 'removePodSandbox'] as const) {
    if (!random.chance(10)) continue;
    // A client that goes away: what it began may be half done when it is asked for again.
    const deadlineMs = random.int(0, 40);
    const over = await run.trace.action(name, verb, { deadlineMs });
    over(brief(await run.rpc.call(verb, { podSandboxId }, deadlineMs)));
  }
  if (stops !== 'none') {
    const over = await run.trace.action(name, 'stopPodSandbox', { stops });
    const outcomes = await Promise.all(
      Array.from({ length: stops === 'two' ? 2 : 1 }, () =>
        run.rpc.sure('stopPodSandbox', { podSandboxId }),
      ),
    );
    over(outcomes.map(brief));
    for (const outcome of outcomes) {
      if (outcome.kind === 'refused' && !run.options.faults) {
        run.violate(`${name} does not stop: ${brief(outcome)}`);
      }
    }
    await sleep(random.int(0, 200));
  }
  const over = await run.trace.action(name, 'removePodSandbox', { removals });
  for (const container of pod.containers) container.removeAsked = true;
  const outcomes = await Promise.all(
    Array.from({ length: removals }, () => run.rpc.sure('removePodSandbox', { podSandboxId })),
  );
  over(outcomes.map(brief));
  if (outcomes.some(({ kind }) => kind === 'ok')) return;
  if (!run.options.faults) {
    run.violate(`${name} is not removed: ${outcomes.map(brief).join(', ')}`);
  }
  await run.eventually(`${name} is removed`, async () => {
    const again = await run.rpc.sure('removePodSandbox', { podSandboxId });
    return again.kind === 'ok' ? true : undefined;
  });
}

/** While nothing is under way in it, its containers are those that are accounted for. */
async function checkMembers(run: Run, pod: PodModel): Promise<void> {
  if (pod.endAsked) return;
  const { name } = pod.plan;
  const wanted = pod.containers
    .filter(({ id, removedAt }) => id !== undefined && !Number.isFinite(removedAt))
    .map(({ id }) => id);
  let found: string[] = [];
  const same = await run.eventually(
    `the containers of ${name} are those of the model`,
    async () => {
      const filter = { podSandboxId: pod.id ?? '' };
      const outcome = await run.rpc.sure('listContainers', { filter });
      if (outcome.kind !== 'ok') return undefined;
      found = outcome.value.containers.filter((each) => !doubtful(run, each)).map(({ id }) => id);
      return isDeepStrictEqual(found.sort(), wanted.sort()) ? true : undefined;
    },
  );
  if (!same) run.violate(`${name} has the containers [${found}], not [${wanted}]`);
}

/** Of a call that was lost, and that could not be repeated since its pod went. */
function doubtful(run: Run, { labels }: Container): boolean {
  const container = run.model.containers.get(labels.torture ?? '');
  return container !== undefined && container.id === undefined && container.doubtful;
}

export async function checkGone(run: Run, pod: PodModel): Promise<void> {
  const { name } = pod.plan;
  const labelSelector = { torture: name };
  const pods = await run.rpc.sure('listPodSandbox', { filter: { labelSelector } });
  if (pods.kind === 'ok' && pods.value.items.length > 0)
    run.violate(`${name} is there when removed`);
  const filter = { podSandboxId: pod.id ?? '' };
  const members = await run.rpc.sure('listContainers', { filter });
  if (members.kind === 'ok' && members.value.containers.length > 0) {
    run.violate(`containers of ${name} are there when it is removed`);
  }
}
