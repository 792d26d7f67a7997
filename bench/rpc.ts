/**
 * One pod's life through gRPC, over and over: every call timed at the client, and what the server
 * and a monitor weigh. The server runs as it does in production: its own process, from dist/.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeBusyboxLayout } from '../scripts/busybox-image.mjs';
import { type CriClient, criClient } from '../src/cri/client.ts';
import { type Summary, summarise, timed } from './stats.ts';

const MAIN = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
const WARMUP = 3;

export interface RpcResults {
  calls: Record<string, Summary>;
  /** Bytes: resident set of the server without pods, proportional set of one pod's monitor. */
  memory: { serverRss: number; monitorPss: number };
}

export async function benchRpc(rounds: number): Promise<RpcResults> {
  const dir = await mkdtemp(join(tmpdir(), 'coracle-bench-'));
  const socket = join(dir, 'c.sock');
  const args = ['serve', '--listen', `unix://${socket}`, '--log-level', 'warn'];
  args.push('--root', join(dir, 'root'), '--state', join(dir, 'state'));
  const server = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const client = criClient(socket);
  try {
    await answering(client, () => server.exitCode !== null);
    await makeBusyboxLayout(join(dir, 'layout'), { name: 'bench.local/busybox:1' });
    const { names } = await client.importImage({ path: join(dir, 'layout') });
    const serverRss = await memory(server.pid ?? 0, 'status', 'VmRSS');
    const series = new Map<string, number[]>();
    let monitorPss = 0;
    for (let round = -WARMUP; round < rounds; round += 1) {
      const life = await podLife(client, names[0] ?? '', round + WARMUP);
      monitorPss = life.monitorPss;
      if (round < 0) continue;
      for (const [call, ms] of life.times) series.set(call, [...(series.get(call) ?? []), ms]);
    }
    const calls = [...series].map(([call, values]) => [call, summarise(values)] as const);
    return { calls: Object.fromEntries(calls), memory: { serverRss, monitorPss } };
  } finally {
    client.close();
    const ended = once(server, 'exit');
    server.kill('SIGTERM');
    await ended;
    await rm(dir, { recursive: true, force: true });
  }
}

async function podLife(client: CriClient, image: string, attempt: number) {
  const times: [call: string, ms: number][] = [];
  const call = async <T>(name: string, work: Promise<T>): Promise<T> => {
    const [ms, result] = await timed(() => work);
    times.push([name, ms]);
    return result;
  };
  const config = {
    metadata: { name: 'bench', namespace: 'bench', uid: 'bench', attempt },
    linux: { securityContext: { namespaceOptions: { pid: 1 } } },
  };
  const { podSandboxId } = await call('RunPodSandbox', client.runPodSandbox({ config }));
  const create = client.createContainer({
    podSandboxId,
    sandboxConfig: config,
    config: {
      metadata: { name: 'sleep' },
      image: { image },
      command: ['sleep', '1000'],
      linux: { securityContext: { namespaceOptions: { pid: 1 }, seccomp: { profileType: 0 } } },
    },
  });
  const { containerId } = await call('CreateContainer', create);
  await call('StartContainer', client.startContainer({ containerId }));
  await call('ContainerStatus', client.containerStatus({ containerId }));
  await call('ExecSync true', client.execSync({ containerId, cmd: ['/bin/true'] }));
  const { info } = await client.podSandboxStatus({ podSandboxId, verbose: true });
  const { pid } = JSON.parse(info.info ?? '{}') as { pid: number };
  const monitorPss = await memory(pid, 'smaps_rollup', 'Pss');
  await call('StopContainer, SIGKILL', client.stopContainer({ containerId, timeout: 0n }));
  await call('RemoveContainer', client.removeContainer({ containerId }));
  await call('StopPodSandbox', client.stopPodSandbox({ podSandboxId }));
  await call('RemovePodSandbox', client.removePodSandbox({ podSandboxId }));
  return { times, monitorPss };
}

async function answering(client: CriClient, ended: () => boolean): Promise<void> {
  for (;;) {
    if (ended()) throw new Error('coracle serve ended early');
    try {
      await client.version();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** A field in kB of a file of /proc/PID, in bytes. */
async function memory(pid: number, file: string, field: string): Promise<number> {
  const text = await readFile(`/proc/${pid}/${file}`, 'utf8');
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(text)?.[1] ?? NaN) * 1024;
}
