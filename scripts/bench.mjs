// Runs the benchmarks (bench/main.ts, which has the options) apart from the host: networks, mounts,
// processes and cgroups are their own, and end with them, as do their files.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apart } from './apart.mjs';
import { root } from './run-step.mjs';

const place = apart();
const reason = place.cannotRun();
place.remove();
if (reason !== undefined) {
  console.error(`bench: ${reason}`);
  process.exit(1);
}
const files = mkdtempSync(join(tmpdir(), 'coracle-bench-'));
const bench = [process.execPath, '--import', 'tsx', 'bench/main.ts', ...process.argv.slice(2)];
const [command, ...args] = [...place.command, 'sh', 'scripts/bench-inside.sh', ...bench];
const env = { ...process.env, TMPDIR: files };
const child = spawn(command, args, { cwd: root, stdio: 'inherit', env });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill('SIGKILL'));
child.on('exit', (status, signal) => {
  if (signal !== null) console.error(`bench: ended by ${signal}`);
  place.remove();
  rmSync(files, { recursive: true, force: true });
  process.exit(status ?? 1);
});
