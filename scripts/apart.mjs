// Commands that run apart from the host (apart.sh), and what they leave in its cgroups.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './run-step.mjs';

/** A place of its own: `command` runs the command that follows it; `remove` takes its cgroups away. */
export function apart() {
  const name = `coracle-test-${randomBytes(4).toString('hex')}`;
  const command = [
    ...['unshare', '--net', '--pid', '--fork', '--kill-child', '--mount-proc'],
    ...['sh', 'scripts/apart.sh', name],
  ];
  return { command, cannotRun: () => cannotRun(command), remove: () => removeCgroups(name) };
}

/** Why nothing can be run apart here; undefined where it can. */
function cannotRun([command, ...args]) {
  if (process.getuid() !== 0) return 'root is needed';
  const given = [...args, 'true'];
  const { status, stderr, error } = spawnSync(command, given, { cwd: root, encoding: 'utf8' });
  if (error) return error.message;
  return status === 0 ? undefined : stderr.trim() || `${command}: exit status ${status}`;
}

/** How often a cgroup is tried whose processes are about to end, every 50 ms. */
const TRIES = 100;

/** The processes of these cgroups end with their namespace. */
function removeCgroups(name) {
  const hierarchies = readFileSync('/proc/self/mountinfo', 'utf8').matchAll(
    /^(?:\S+ ){4}(\S+) .* - cgroup2? /gm,
  );
  for (const [, mountPoint] of hierarchies) {
    const top = join(mountPoint, name);
    if (existsSync(top)) removeCgroup(top);
  }
}

function removeCgroup(dir) {
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroup(join(dir, entry.name));
  }
  for (let left = TRIES; ; left -= 1) {
    try {
      rmdirSync(dir);
      return;
    } catch (error) {
      if (error.code !== 'EBUSY' || left === 0) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
  }
}
