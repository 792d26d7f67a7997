import { messageOf } from '../../src/errors.ts';
import { type Contestant, timed } from '../stats.ts';
import { type Host, IMAGE, PAYLOAD } from './host.ts';
import { runProgram } from './run-program.ts';

export interface PodmanPeer extends AsyncDisposable {
  contestants: Contestant[];
  notes: string[];
}

/** `podman run` without a network, with files of its own; its container makes all its namespaces. */
export async function podmanPeer(host: Host): Promise<PodmanPeer> {
  const { podman } = host.peers;
  const nothing = async () => {};
  if (!podman) {
    return {
      contestants: [],
      notes: ['podman is left out: not installed.'],
      [Symbol.asyncDispose]: nothing,
    };
  }
  const dir = host.scratch('podman');
  const files = [
    '--root',
    `${dir}/root`,
    '--runroot',
    `${dir}/run`,
    '--cgroup-manager',
    'cgroupfs',
  ];
  const run = (...args: string[]) => runProgram(podman, [...files, ...args]);
  const payload = [PAYLOAD, 'stamp', '/dev/null'];
  const once = async () => {
    const [total] = await timed(() => run('run', '--rm', '--network', 'none', IMAGE, ...payload));
    return { 'create + start + exit': total };
  };
  const dispose = async () => {
    await run('rmi', '--all', '--force').catch(() => {});
    // Its storage mounts its own directory.
    await runProgram('umount', ['--recursive', `${dir}/root/overlay`]).catch(() => {});
  };
  try {
    await run('load', '--input', host.archive);
    await once();
    return { contestants: [{ name: 'podman', once }], notes: [], [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    const notes = [`podman is left out: ${messageOf(error)}.`];
    return { contestants: [], notes, [Symbol.asyncDispose]: nothing };
  }
}
