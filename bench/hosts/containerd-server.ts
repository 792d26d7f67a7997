import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { criClient } from '../../src/cri/client.ts';
import { answering } from './answering.ts';
import { writeCniConfig } from './cni-config.ts';
import type { CriServer } from './cri.ts';
import { type Host, IMAGE, PAUSE_IMAGE } from './host.ts';
import { pidsOf } from './proc.ts';
import { runProgram } from './run-program.ts';

/**
 * A containerd of its own with one OCI runtime, its files below the benchmark's directory. Without
 * `cniBin` it has pods of the host's network only.
 */
export async function containerdServer(
  host: Host,
  oci: string,
  containerd: string,
  binary: string,
  cniBin: string | undefined,
): Promise<CriServer> {
  const dir = host.scratch(`containerd-${oci}`);
  const socket = join(dir, 'c.sock');
  const config = join(dir, 'config.toml');
  const conf = cniBin === undefined ? join(dir, 'no-cni') : writeCniConfig(dir, `peer-${oci}`);
  writeFileSync(config, settings(dir, socket, binary, cniBin ?? '/nonexistent', conf));
  let child = launch(containerd, config, dir);
  const client = criClient(socket);
  const ctr = join(dirname(containerd), 'ctr');
  const end = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    }
  };
  const close = async () => {
    try {
      const { items } = await client.listPodSandbox();
      for (const { id } of items) await client.removePodSandbox({ podSandboxId: id });
    } finally {
      client.close();
      await end();
      removeEmpty('/run/containerd/s', '/run/containerd');
    }
  };
  try {
    await answering(client, socket, child);
    for (const archive of [host.archive, host.pauseArchive]) {
      await runProgram(ctr, ['-a', socket, '-n', 'k8s.io', 'images', 'import', archive]);
    }
    await imported(client);
    return {
      name: `containerd + ${oci}`,
      client,
      socket,
      get pid() {
        return child.pid ?? 0;
      },
      helpers: async () =>
        pidsOf((args) => /containerd-shim/.test(args[0] ?? '') && args.includes(socket)),
      end,
      begin: async () => {
        child = launch(containerd, config, dir);
        await answering(client, socket, child);
      },
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await close().catch(() => {});
    const said = readFileSync(join(dir, 'log'), 'utf8').trim().split('\n').at(-1) ?? '';
    throw new Error(`${String(error)} ${said}`, { cause: error });
  }
}

/** The CRI learns of images a moment after the import. */
async function imported(client: ReturnType<typeof criClient>): Promise<void> {
  for (const end = Date.now() + 10_000; Date.now() < end; ) {
    const { images } = await client.listImages();
    const names = images.flatMap(({ repoTags }) => repoTags);
    if (names.includes(IMAGE) && names.includes(PAUSE_IMAGE)) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('containerd does not see the images that it imported');
}

function launch(containerd: string, config: string, dir: string): ChildProcess {
  const log = openSync(join(dir, 'log'), 'a');
  // It looks for its shim there.
  const PATH = [dirname(containerd), '/usr/sbin:/usr/bin:/sbin:/bin'].join(':');
  try {
    return spawn(containerd, ['-c', config], { stdio: ['ignore', log, log], env: { PATH } });
  } finally {
    closeSync(log);
  }
}

function settings(dir: string, socket: string, binary: string, cniBin: string, conf: string) {
  mkdirSync(join(dir, 'state'));
  const others = ['aufs', 'btrfs', 'devmapper', 'zfs'].map(
    (n) => `io.containerd.snapshotter.v1.${n}`,
  );
  const cri = 'plugins."io.containerd.grpc.v1.cri"';
  return `version = 2
root = "${join(dir, 'root')}"
state = "${join(dir, 'state')}"
disabled_plugins = ${JSON.stringify(['io.containerd.internal.v1.opt', ...others])}
[grpc]
  address = "${socket}"
[${cri}]
  sandbox_image = "${PAUSE_IMAGE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
[${cri}.containerd]
  default_runtime_name = "peer"
  snapshotter = "overlayfs"
[${cri}.containerd.runtimes.peer]
  runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.peer.options]
  BinaryName = "${binary}"
[${cri}.cni]
  bin_dir = "${cniBin}"
  conf_dir = "${conf}"
`;
}

function removeEmpty(...dirs: string[]): void {
  for (const dir of dirs) {
    try {
      rmdirSync(dir);
    } catch {
      // It is not there, or it is somebody's.
    }
  }
}
