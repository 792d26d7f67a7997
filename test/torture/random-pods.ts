/** The usual run: random pods for some minutes, whose server is ended at random moments. */
import { endServers } from './chaos.ts';
import { drivePod } from './drive-pod.ts';
import { follow, read } from './readers.ts';
import type { Run } from './run.ts';

const READERS = 2;
/** The last life of the server has this part of the time, to be asked for what it leaked. */
const LAST_LIFE = 0.15;

export async function randomPods(run: Run): Promise<void> {
  const ms = run.options.minutes * 60_000;
  run.until = Date.now() + ms;
  const reading = new AbortController();
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), ms * (1 - LAST_LIFE));
  const beside = [
    ...Array.from({ length: READERS }, (_, n) => read(run, `reader ${n}`, reading.signal)),
    follow(run, reading.signal),
    endServers(run, ending.signal),
  ];
  let pods = 0;
  const places = Array.from({ length: run.options.pods }, async () => {
    while (!run.over) {
      pods += 1;
      await drivePod(run, pods);
    }
  });
  await Promise.all(places);
  clearTimeout(timer);
  ending.abort();
  reading.abort();
  await Promise.all(beside);
}
