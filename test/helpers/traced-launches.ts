/**
 * A process whose launches are traced, by launch-syscalls.test.ts: it prints its pod's monitor's pid,
 * waits for a line, launches, says "done" and waits for another one. Between two calls of access(2)
 * for /coracle-trace/NAME is the launch of that name.
 */
import { accessSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { execSync } from '../../src/runtime/exec-sync.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { DirectRuntime } from './direct-runtime.ts';

const [, , times = '1'] = process.argv;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Seen by the tracer; there is no such file. */
function mark(name: string): void {
  try {
    accessSync(`/coracle-trace/${name}`);
  } catch {
    // As it should be.
  }
}

async function traced(name: string, work: () => Promise<void>): Promise<void> {
  mark(name);
  await work();
  mark(name);
}

const runtime = await DirectRuntime.open();
try {
  const { ctx } = runtime;
  const pod = await runtime.pod();
  const { monitorPid } = ctx.sandboxes.get(pod).record;
  console.log(JSON.stringify({ monitorPid }));
  await lines.next();
  for (let count = 0; count < Number(times); count += 1) {
    let id = '';
    await traced('create and start', async () => {
      id = await runtime.create(pod);
      await startContainer(ctx, id);
    });
    await traced('exec', async () => {
      const { exitCode } = await execSync(ctx, id, ['true'], {});
      if (exitCode !== 0) throw new Error(`true has ended with ${exitCode}`);
    });
    await removeContainer(ctx, id);
  }
  console.log('done');
  await lines.next();
} finally {
  await runtime.close();
}
