import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerState } from '../../src/cri/gen/cri.ts';
import { brief } from './make-pod.ts';
import type { ContainerModel } from './model.ts';
import type { Reader } from './observer.ts';
import { actorArgs, namespacesOf, podConfig } from './plan.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';

const TRIES = 40;

/** Creates it, asking again until there is an answer; false where its pod is failing. */
export async function createContainer(
  run: Run,
  container: ContainerModel,
  random: Random,
): Promise<boolean> {
  const { key, pod } = container;
  for (let attempt = 0; attempt < TRIES && !run.violations.fatal; attempt += 1) {
    const copies = random.chance(15) ? random.int(2, 3) : 1;
    const deadlineMs = random.chance(8) ? random.int(0, 15) : undefined;
    const over = await run.trace.action(key, 'createContainer', { copies, deadlineMs });
    const request = creation(run, container);
    const outcomes = await Promise.all(
      Array.from({ length: copies }, () => run.rpc.call('createContainer', request, deadlineMs)),
    );
    over(outcomes.map(brief));
    const ids = new Set<string>();
    let refusal: string | undefined;
    for (const outcome of outcomes) {
      if (outcome.kind === 'ok') ids.add(outcome.value.containerId);
      else if (outcome.kind === 'refused') refusal = brief(outcome);
      else container.doubtful = true;
    }
    if (ids.size > 1) run.violate(`${key}: identical calls were told ${[...ids].join(', ')}`);
    const [id] = ids;
    if (id !== undefined) {
      run.model.named(container, id);
      return true;
    }
    if (refusal === undefined) continue;
    if (pod.failing) return false;
    if (!run.options.faults) run.violate(`${key} is refused: ${refusal}`);
  }
  if (!run.violations.fatal) run.violate(`${key} could not be created in ${TRIES} tries`);
  return false;
}

function creation(run: Run, { key, pod, plan, progressFile }: ContainerModel) {
  return {
    podSandboxId: pod.id ?? '',
    sandboxConfig: podConfig(pod.plan, pod.logDirectory),
    config: {
      metadata: { name: key, attempt: 0 },
      labels: { torture: key },
      image: { image: run.image },
      command: actorArgs(key, plan),
      logPath: `${key}.log`,
      tty: plan.tty,
      mounts: [{ hostPath: progressFile, containerPath: '/progress' }],
      linux: {
        securityContext: { namespaceOptions: namespacesOf(pod.plan) },
        resources: { memoryLimitInBytes: BigInt(256 * 1024 * 1024) },
      },
    },
  };
}

/** Starts it; true once it has been started, false where that cannot be any more. */
export async function startContainer(
  run: Run,
  reader: Reader,
  container: ContainerModel,
  random: Random,
): Promise<boolean> {
  const { key, pod, id } = container;
  const request = { containerId: id ?? '' };
  /** That an earlier call of ours may have started it. */
  let doubt = false;
  for (let attempt = 0; attempt < TRIES && !run.violations.fatal; attempt += 1) {
    const copies = random.chance(15) ? random.int(2, 3) : 1;
    const deadlineMs = random.chance(8) ? random.int(0, 15) : undefined;
    const over = await run.trace.action(key, 'startContainer', { copies, deadlineMs });
    container.startAsked = true;
    const outcomes = await Promise.all(
      Array.from({ length: copies }, () => run.rpc.call('startContainer', request, deadlineMs)),
    );
    over(outcomes.map(brief));
    const started = outcomes.filter(({ kind }) => kind === 'ok').length;
    if (started > 1) run.violate(`${key} was started ${started} times`);
    if (started > 0) {
      container.startedAt = run.model.tick();
      return true;
    }
    const found = await run.status(reader, container);
    if (!found) return false;
    const { state } = found.status;
    for (const outcome of outcomes) {
      doubt ||= outcome.kind !== 'refused';
      if (outcome.kind !== 'refused' || pod.failing || doubt || run.options.faults) continue;
      run.violate(`${key} does not start: ${outcome.code} ${outcome.message}`);
    }
    if (state !== ContainerState.CONTAINER_CREATED) return true;
    if (pod.failing && outcomes.some(({ kind }) => kind === 'refused')) return false;
    // A start whose client has gone goes on.
    await sleep(20);
  }
  if (!run.violations.fatal) run.violate(`${key} could not be started in ${TRIES} tries`);
  return false;
}
