/** Ends the server at random moments, and starts it again. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Run } from './run.ts';

/** Failpoints of one life: rare errors and pauses (src/failpoint.ts). */
const FAULTS = ['journal.*=EIO%2', 'journal.*=ENOSPC%2', 'store.*=EIO%2', '*=delay(20)%5'] as const;

/** Until the run is over; leaves a server that serves. */
export async function endServers(run: Run, signal: AbortSignal): Promise<void> {
  const random = run.random('chaos');
  while (!signal.aborted && !run.violations.fatal) {
    await pause(random.int(50, random.pick([600, 2500, 8000])), signal);
    if (signal.aborted || run.violations.fatal) break;
    if (random.chance(15)) await terminate(run);
    else await kill(run);
    while (random.chance(30) && !run.violations.fatal) {
      run.server.spawn(faults(run, random.chance(50) ? random.pick(FAULTS) : undefined));
      const serves = run.server.answering();
      await Promise.race([serves, pause(random.int(0, 600), signal)]);
      await kill(run);
    }
    run.server.spawn(faults(run, random.chance(50) ? random.pick(FAULTS) : undefined));
    await run.server.answering();
  }
}

function faults(run: Run, spec: string | undefined): NodeJS.ProcessEnv {
  if (!run.options.faults || spec === undefined) return {};
  return { CORACLE_FAILPOINTS: `seed=${run.options.seed + run.server.life};${spec}` };
}

export async function kill(run: Run): Promise<void> {
  const over = await run.trace.action('server', 'kill', { life: run.server.life });
  run.done.serverKills += 1;
  await run.server.end('SIGKILL');
  over('dead');
}

async function terminate(run: Run): Promise<void> {
  const over = await run.trace.action('server', 'terminate', { life: run.server.life });
  run.done.serverTerms += 1;
  await run.server.end('SIGTERM');
  over('ended');
}

/** Ends early with the signal. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
}
