import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Contestant, timed } from '../stats.ts';

const START_TIMEOUT = 10_000; // ms

export interface UnpackPeer extends AsyncDisposable {
  contestants: Contestant[];
  notes: string[];
}

/** A blob of the layer: the file's name, and the suffix that its media type has. */
const BLOBS = {
  none: ['layer.tar', ''],
  gzip: ['layer.tar.gz', '+gzip'],
  zstd: ['layer.tar.zst', '+zstd'],
} as const;

/**
 * containerd's overlayfs snapshotter, by a daemon of its own with its files in `dir`. Blobs are in
 * its content store beforehand: the time is that of `ctr snapshots unpack`.
 */
export async function containerdPeer(dir: string, binary: string | undefined): Promise<UnpackPeer> {
  if (binary === undefined) {
    const notes = ['containerd is left out: not installed.'];
    return { contestants: [], notes, [Symbol.asyncDispose]: async () => {} };
  }
  const ctr = (...args: string[]) =>
    execFileSync(join(dirname(binary), 'ctr'), ['-a', join(dir, 'c.sock'), ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const daemon = start(binary, dir);
  const stop = async () => {
    daemon.kill('SIGTERM');
    while (daemon.exitCode === null && daemon.signalCode === null) await sleep(20);
  };
  try {
    await answers(daemon, () => ctr('version'));
    const diffId = digest(readFileSync(join(dir, 'layer.tar')));
    const manifests = Object.entries(BLOBS).map(([form, [file, suffix]]) => {
      const layout = join(dir, `layout-${form}`);
      const manifest = writeLayout(layout, join(dir, file), suffix, diffId, form);
      execFileSync('tar', ['-C', layout, '-cf', `${layout}.tar`, '.']);
      ctr('images', 'import', '--no-unpack', `${layout}.tar`);
      return [form, manifest] as const;
    });
    const once = async () => {
      const phases: Record<string, number> = {};
      for (const [form, manifest] of manifests) {
        execFileSync('sync', ['-f', dir]);
        const [ms] = await timed(async () => {
          ctr('snapshots', 'unpack', manifest);
          execFileSync('sync', ['-f', dir]);
        });
        phases[form] = ms;
        // A single layer's chain id is its diff id.
        ctr('snapshots', 'rm', diffId);
      }
      return phases;
    };
    return { contestants: [{ name: 'containerd', once }], notes: [], [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function start(binary: string, dir: string): ChildProcess {
  const config = join(dir, 'containerd.toml');
  writeFileSync(
    config,
    'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n',
  );
  const files = ['--root', join(dir, 'c-root'), '--state', join(dir, 'c-state')];
  return spawn(binary, ['-c', config, '-a', join(dir, 'c.sock'), ...files], { stdio: 'ignore' });
}

async function answers(daemon: ChildProcess, ask: () => void): Promise<void> {
  for (const end = Date.now() + START_TIMEOUT; ; await sleep(50)) {
    try {
      return ask();
    } catch (error) {
      if (Date.now() > end || daemon.exitCode !== null) throw error;
    }
  }
}

function digest(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** An OCI layout around a layer blob that is there already. Returns the manifest's digest. */
function writeLayout(
  layout: string,
  blob: string,
  suffix: string,
  diffId: string,
  name: string,
): string {
  const blobs = join(layout, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (mediaType: string, value: object) => {
    const bytes = Buffer.from(JSON.stringify(value));
    writeFileSync(join(blobs, digest(bytes).slice(7)), bytes);
    return { mediaType, digest: digest(bytes), size: bytes.length };
  };
  const layer = readFileSync(blob);
  linkSync(blob, join(blobs, digest(layer).slice(7)));
  const architecture = process.arch === 'x64' ? 'amd64' : process.arch;
  const rootfs = { type: 'layers', diff_ids: [diffId] };
  const type = (what: string) => `application/vnd.oci.image.${what}`;
  const manifest = put(type('manifest.v1+json'), {
    schemaVersion: 2,
    config: put(type('config.v1+json'), { os: 'linux', architecture, rootfs, name }),
    layers: [
      {
        mediaType: type(`layer.v1.tar${suffix}`),
        digest: digest(layer),
        size: layer.length,
      },
    ],
  });
  const annotations = { 'io.containerd.image.name': `bench.local/${name}:1` };
  const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index));
  writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  return manifest.digest;
}
