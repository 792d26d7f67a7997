/** Ends the server at random moments, and starts it again. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Run } from './run.ts';

/**
 * Failpoints of one life: rare errors where the disk may have them, and pauses (src/failpoint.ts).
 * None is after a commit: what is done cannot fail, and is there for kills alone.
 */
const FAULTS = [
  'journal.append=EIO%3',
  'journal.append=ENOSPC%3',
  'journal.sync=EIO%3',
  'store.commit=EIO%3',
  'store.flush=EIO%3',
  'lmdb.commit=ENOSPC%10',
  'cgroup.*=EIO%3',
  'file.op=ENOSPC%3',
  'monitor.*=delay(50)%10',
  '*=delay(20)%5',
] as const;

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
