// Runs the torture harness (test/torture/) apart from the host: what it finds left is its own.
//
//     node scripts/torture.mjs [options of test/torture/options.ts]
import { spawn } from 'node:child_process';
import { apart } from './apart.mjs';
import { root } from './run-step.mjs';

const place = apart();
const reason = place.cannotRun();
place.remove();
if (reason !== undefined) {
  console.error(`torture: ${reason}`);
  process.exit(1);
}
// CNI keeps namespaces and addresses below /run.
const inside = ['sh', '-c', 'mount -t tmpfs none /run && exec "$@"', 'sh'];
const harness = [process.execPath, '--import', 'tsx', 'test/torture/main.ts'];
const [command, ...args] = [...place.command, ...inside, ...harness, ...process.argv.slice(2)];
const child = spawn(command, args, { cwd: root, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill('SIGKILL'));
child.on('exit', (status, signal) => {
  if (signal !== null) console.error(`torture: ended by ${signal}`);
  place.remove();
  process.exit(status ?? 1);
});
