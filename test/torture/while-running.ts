/** What is done to a container while it runs. */
import { existsSync, renameSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { ContainerState } from '../../src/cri/gen/cri.ts';
import { logFiles } from './log-check.ts';
import { brief } from './make-pod.ts';
import type { ContainerModel } from './model.ts';
import type { Reader } from './observer.ts';
import type { Random } from './random.ts';
import type { Run } from './run.ts';

type Deed = (run: Run, reader: Reader, container: ContainerModel, random: Random) => Promise<void>;

const DEEDS: Record<string, Deed> = { exec, slowExec, reopen, update, stats, look, rest };
const WEIGHTS = { exec: 4, slowExec: 0.2, reopen: 2, update: 1, stats: 1, look: 3, rest: 4 };

/** Some of it. */
export async function whileRunning(
  run: Run,
  reader: Reader,
  container: ContainerModel,
  random: Random,
): Promise<void> {
  const weights = Object.fromEntries(Object.entries(WEIGHTS).map(([k, w]) => [k, w * 10]));
  for (let left = random.int(0, 6); left > 0 && !run.over; left -= 1) {
    await DEEDS[random.weighted(weights)]?.(run, reader, container, random);
  }
}

/** Whether it runs for sure, and will until somebody ends it. */
function lasts({ plan, pod, finishAsked, termAsked, killAsked, seenEnd }: ContainerModel): boolean {
  const endless = plan.lines === 0 || plan.end.kind === 'pause';
  // An end that was seen is right, or was told as a violation.
  return endless && !(pod.failing || finishAsked || termAsked || killAsked || seenEnd);
}

async function exec(
  run: Run,
  _reader: Reader,
  container: ContainerModel,
  random: Random,
): Promise<void> {
  const large = random.chance(10);
  const seed = random.int(0, 1000);
  const sizes = [0, 1].map(() => random.int(0, large ? 2_000_000 : 3000)) as [number, number];
  const exitCode = random.int(0, 127);
  const ms = random.pick([0, 0, 1, 30]);
  const cmd = ['/bin/actor', 'exec', ...[seed, ...sizes, exitCode, ms].map(String)];
  const over = await run.trace.action(container.key, 'execSync', { cmd });
  const outcome = await run.rpc.call('execSync', {
    containerId: container.id ?? '',
    cmd,
    timeout: 60n,
  });
  over(brief(outcome));
  if (outcome.kind === 'refused' && lasts(container) && !run.options.faults) {
    run.violate(`an exec in ${container.key}: ${outcome.code} ${outcome.message}`);
  }
  if (outcome.kind !== 'ok') return;
  run.done.execs += 1;
  const { value } = outcome;
  const killed = value.exitCode === 137 && !lasts(container);
  if (value.exitCode !== exitCode && !killed) {
    run.violate(`an exec in ${container.key} ended with ${value.exitCode}, not ${exitCode}`);
  }
  for (const [stream, bytes] of [value.stdout, value.stderr].entries()) {
    const size = sizes[stream] ?? 0;
    const wanted = pattern(seed, killed ? bytes.length : size);
    if (Buffer.compare(bytes, wanted) !== 0 || bytes.length > size) {
      const what = `${bytes.length} bytes, not the ${size} that it wrote`;
      run.violate(`stream ${stream} of an exec in ${container.key} has ${what}`);
    }
  }
}

/** As actor.c has it. */
function pattern(seed: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i += 1) bytes[i] = 97 + ((seed + i * 7 + Math.floor(i / 251)) % 26);
  return bytes;
}

async function slowExec(run: Run, _reader: Reader, container: ContainerModel): Promise<void> {
  const over = await run.trace.action(container.key, 'execSync', { slow: true });
  const cmd = ['sleep', '30'];
  const request = { containerId: container.id ?? '', cmd, timeout: 1n };
  const outcome = await run.rpc.call('execSync', request);
  over(brief(outcome));
  const late = outcome.kind === 'refused' && outcome.code === 'DEADLINE_EXCEEDED';
  if (!late && outcome.kind !== 'lost' && lasts(container) && !run.options.faults) {
    run.violate(`a slow exec in ${container.key} ends with ${brief(outcome)}`);
  }
}

/** As kubelet rotates: the file is renamed, then the log opened again, until that is answered. */
async function reopen(run: Run, _reader: Reader, container: ContainerModel): Promise<void> {
  const { logFile, key } = container;
  const over = await run.trace.action(key, 'reopenContainerLog');
  if (existsSync(logFile)) renameSync(logFile, `${logFile}.${logFiles(logFile).length}`);
  const outcome = await run.rpc.sure('reopenContainerLog', { containerId: container.id ?? '' });
  over(brief(outcome));
  if (outcome.kind === 'ok') {
    run.done.reopens += 1;
    if (!existsSync(logFile)) run.violate(`${key} has no log after it was opened again`);
  } else if (lasts(container) && !run.options.faults) {
    run.violate(`the log of ${key} is not opened again: ${brief(outcome)}`);
  }
}

async function update(
  run: Run,
  reader: Reader,
  container: ContainerModel,
  random: Random,
): Promise<void> {
  const cpuShares = BigInt(random.int(2, 4096));
  const over = await run.trace.action(container.key, 'updateContainerResources', { cpuShares });
  const outcome = await run.rpc.sure('updateContainerResources', {
    containerId: container.id ?? '',
    linux: { cpuShares },
  });
  over(brief(outcome));
  if (outcome.kind !== 'ok') {
    if (lasts(container) && !run.options.faults) {
      run.violate(`${container.key} is not updated: ${brief(outcome)}`);
    }
    return;
  }
  run.done.updates += 1;
  const found = await run.status(reader, container);
  const has = found?.status.resources?.linux?.cpuShares;
  if (found && has !== cpuShares) {
    run.violate(`${container.key} has ${has} CPU shares after an update to ${cpuShares}`);
  }
}

async function stats(run: Run, _reader: Reader, { id, pod }: ContainerModel): Promise<void> {
  await run.rpc.call('containerStats', { containerId: id ?? '' });
  await run.rpc.call('podSandboxStats', { podSandboxId: pod.id ?? '' });
}

/** The process that a status tells of is there, and is the container's. */
export async function look(run: Run, reader: Reader, container: ContainerModel): Promise<void> {
  let wrong: string | undefined;
  const settled = await run.eventually(`${container.key} runs as it says`, async () => {
    const found = await run.status(reader, container);
    if (found?.status.state !== ContainerState.CONTAINER_RUNNING) return true;
    const { pid } = JSON.parse(found.info.info ?? '{}') as { pid?: number };
    wrong = reader.running(container, pid ?? 0);
    return wrong === undefined ? true : undefined;
  });
  if (!settled && wrong !== undefined) run.violate(`${container.key} ${wrong}`);
}

async function rest(
  _run: Run,
  _reader: Reader,
  _container: ContainerModel,
  random: Random,
): Promise<void> {
  await sleep(random.int(0, 400));
}
