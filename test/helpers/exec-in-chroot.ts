/** A program to be run in a chroot: prints what an exec in a container of its sees as mounts. */
import { execSync } from '../../src/runtime/exec-sync.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { DirectRuntime } from './direct-runtime.ts';

const runtime = await DirectRuntime.open();
try {
  const id = await runtime.create(await runtime.pod());
  await startContainer(runtime.ctx, id);
  const { stdout } = await execSync(runtime.ctx, id, ['cat', '/proc/self/mountinfo'], {
    timeoutMs: 10_000,
  });
  process.stdout.write(stdout);
} finally {
  await runtime.close();
}
