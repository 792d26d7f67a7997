/** Compiled by `npm run check`, never run: what the public types take and refuse. */
import type { Readable } from 'node:stream';
import {
  type Container,
  CoracleError,
  type ErrorKind,
  type Pod,
  Runtime,
} from '../../src/index.ts';

export async function accepted(): Promise<void> {
  await using runtime = await Runtime.open({ root: '/a', state: '/b' });
  const names: string[] = await runtime.images.import('/layout', { tag: 'x.local/y:1' });
  await using pod: Pod = await runtime.runPod(
    { namespaces: { network: 'none', pid: 'pod' } },
    { signal: AbortSignal.timeout(1000) },
  );
  await using container: Container = await pod.createContainer({
    image: names[0] ?? '',
    env: [['A', 'b']],
    mounts: [{ hostPath: '/src', containerPath: '/dst', readonly: true }],
    security: { runAsUser: 1000, seccomp: { type: 'unconfined' } },
  });
  await container.start({ stdin: 'ignore', stdout: { raw: 5 }, stderr: 2 });
  await container.update({ memoryLimit: 64 << 20, cpuQuota: -1 });
  const out: Readable | null = container.stdout;
  out?.resume();
  const { exitCode }: { exitCode: number } = await container.wait();
  if (exitCode !== 0) throw new CoracleError('Internal', 'it failed');
}

export async function refused(runtime: Runtime, pod: Pod, container: Container): Promise<void> {
  // @ts-expect-error an image is needed
  await pod.createContainer({ command: ['true'] });
  // @ts-expect-error no such network
  await runtime.runPod({ namespaces: { network: 'bridge' } });
  // @ts-expect-error no such stream
  await container.start({ stdout: 'file' });
  // @ts-expect-error an environment variable is a pair
  await pod.createContainer({ image: 'x', env: ['A=b'] });
  // @ts-expect-error attempts are counted by the library
  await pod.createContainer({ image: 'x', attempt: 1 });
  // @ts-expect-error containers are made by pods
  void new Container();
  // @ts-expect-error no such kind
  const kind: ErrorKind = 'Whatever';
  void kind;
}
