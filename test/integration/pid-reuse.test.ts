/** ST-22: exits where pids come back after a hundred others. In a PID namespace of its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { release } from 'node:os';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { keepAlive } from '../../src/runtime/deferred.ts';
import { removeContainer } from '../../src/runtime/remove.ts';
import { startContainer } from '../../src/runtime/start.ts';
import { DirectRuntime } from '../helpers/direct-runtime.ts';

const INSIDE = 'CORACLE_TEST_FEW_PIDS';
/** Pids below 300 are given out once only (RESERVED_PIDS of kernel/pid.c). */
const PID_MAX = 420;
const LAUNCHES = 250;
const LANES = 4;

/** Before Linux 6.14 pid_max is the whole machine's, and no test may change it. */
function reasonToSkip(): string | false {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  if (process.getuid?.() !== 0) return 'needs root';
  return major > 6 || (major === 6 && minor >= 14) ? false : 'needs Linux 6.14';
}

if (process.env[INSIDE] === undefined) {
  test('a pid that is used again confuses no exit, with few pids', {
    skip: reasonToSkip(),
  }, () => {
    const script = `echo ${PID_MAX} > /proc/sys/kernel/pid_max && exec "$@"`;
    const argv = [process.execPath, ...process.execArgv, fileURLToPath(import.meta.url)];
    const flags = ['--pid', '--fork', '--kill-child', '--mount-proc', 'sh', '-c', script, 'sh'];
    const env = { ...process.env, [INSIDE]: '1', NODE_TEST_CONTEXT: undefined };
    const result = spawnSync('unshare', [...flags, ...argv], {
      env,
      encoding: 'utf8',
      timeout: 120_000,
    });
    assert.equal(result.status, 0, `${result.stdout}\n${result.stderr}`);
  });
} else {
  test('ST-22: every exit is that of its own container', async (t) => {
    const runtime = await DirectRuntime.open();
    t.after(() => runtime.close());
    const { ctx } = runtime;
    const pod = await runtime.pod();
    spawnSync('sh', ['-c', 'i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done']);
    const pids = new Set<number>();
    let next = 0;
    const lane = async () => {
      while (next < LAUNCHES) {
        next += 1;
        const code = next % 251;
        const id = await runtime.create(pod, { command: ['sh', '-c', `exit ${code}`] });
        const task = await startContainer(ctx, id);
        pids.add(task.pid);
        await keepAlive(ctx.live.of(id).exited.promise);
        assert.equal(ctx.containers.get(id).status.get().exitCode, code);
        await removeContainer(ctx, id);
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    assert.ok(pids.size < LAUNCHES / 2, `${pids.size} pids: few have been used again`);
  });
}
