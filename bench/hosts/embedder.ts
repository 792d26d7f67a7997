/**
 * A big process that launches: KIND DIRECTORY LAYOUT SECONDS MEGABYTES RATE. Prints LoopDelays of
 * benchmarks/loop.ts. KIND is "launch", of containers, or "spawn", by Node.js.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openEmbedded } from './embedded.ts';
import { PAYLOAD } from './host.ts';

const [, , kind, dir = '', layout = '', ...numbers] = process.argv;
const [seconds = 1, megabytes = 1, rate = 1] = numbers.map(Number);

// Written to, so that it is there.
const ballast = Array.from({ length: megabytes }, () => Buffer.alloc(1e6, 1));

/** How late timers of 1 ms come, ms each, until `done` resolves. */
async function delays(done: Promise<unknown>): Promise<number[]> {
  const found: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    found.push(Math.max(0, now - last - 1));
    last = now;
  }, 1);
  try {
    await done;
  } finally {
    clearInterval(timer);
  }
  return found;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

function fail(error: unknown): void {
  failures.push(String(error));
}

const total = Math.max(1, Math.round(seconds * rate));

/** Why launches failed, if any did. */
const failures: string[] = [];

/** Begins one every so often, as many as there should have been by now, and waits for all. */
async function launchAll(launch: () => Promise<void>): Promise<void> {
  const begin = performance.now();
  const running: Promise<void>[] = [];
  while (running.length < total) {
    const wanted = Math.ceil(((performance.now() - begin) / 1000) * rate);
    while (running.length < Math.min(total, wanted)) running.push(launch().catch(fail));
    await sleep(1000 / rate / 2);
  }
  await Promise.all(running);
}

async function measure(launch: () => Promise<void>): Promise<void> {
  await launch();
  const quiet = await delays(sleep(seconds * 1000));
  const begin = performance.now();
  const launching = await delays(launchAll(launch));
  const perSecond = total / ((performance.now() - begin) / 1000);
  const launches = total - failures.length;
  console.log(JSON.stringify({ quiet, launching, launches, failures, rate: perSecond }));
}

if (kind === 'launch') {
  const scratch = (name: string) => {
    mkdirSync(join(dir, name));
    return join(dir, name);
  };
  await using embedded = await openEmbedded({ layout, scratch });
  await measure(async () => {
    const { pod, image } = embedded;
    const command = [PAYLOAD, 'stamp', '/dev/null'];
    await using container = await pod.createContainer({ image, command });
    await container.start();
    await container.wait();
  });
} else {
  await measure(async () => {
    await once(spawn('/bin/true', { stdio: 'ignore' }), 'exit');
  });
}
if (ballast.length === 0) console.error('nothing was kept');
