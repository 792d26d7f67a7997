import type { PodModel } from './model.ts';
import { podConfig } from './plan.ts';
import type { Random } from './random.ts';
import type { Outcome } from './rpc.ts';
import type { Run } from './run.ts';

const TRIES = 40;

/**
 * Runs a pod as a client does whose calls are lost now and then: it asks again with the same
 * request, which never clashes with what an earlier one has made.
 */
export async function makePod(run: Run, pod: PodModel, random: Random): Promise<void> {
  const { name } = pod.plan;
  for (let attempt = 0; attempt < TRIES && !run.violations.fatal; attempt += 1) {
    const twice = random.chance(10);
    const deadlineMs = random.chance(8) ? random.int(0, 25) : undefined;
    const over = await run.trace.action(name, 'runPodSandbox', { twice, deadlineMs });
    const config = podConfig(pod.plan, pod.logDirectory);
    const outcomes = await Promise.all(
      Array.from({ length: twice ? 2 : 1 }, () =>
        run.rpc.call('runPodSandbox', { config }, deadlineMs),
      ),
    );
    over(outcomes.map(brief));
    const ids = [
      ...new Set(outcomes.flatMap((each) => (each.kind === 'ok' ? each.value.podSandboxId : []))),
    ];
    if (ids.length > 1) run.violate(`${name}: two calls made the pods ${ids.join(', ')}`);
    pod.id = ids[0];
    for (const outcome of outcomes) {
      if (outcome.kind === 'refused' && !run.options.faults) {
        run.violate(`${name} is refused: ${brief(outcome)}`);
      }
    }
    if (pod.id !== undefined) return;
  }
  if (!run.violations.fatal) run.violate(`${name} could not be run in ${TRIES} tries`);
}

/** An outcome for the trace. */
export function brief(outcome: Outcome<unknown>): string {
  return outcome.kind === 'refused' ? `${outcome.code}: ${outcome.message}` : outcome.kind;
}
