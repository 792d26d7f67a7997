import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeBusyboxLayout, tarLayout } from '../../scripts/busybox-image.mjs';

export const IMAGE = 'bench.local/busybox:1';
export const PAUSE_IMAGE = 'bench.local/pause:1';

/** Where distributions and projects install them; a variable names another one, or "none". */
const PLACES = {
  crun: ['/usr/bin/crun', '/usr/local/bin/crun'],
  runc: ['/usr/sbin/runc', '/usr/bin/runc', '/usr/local/sbin/runc'],
  containerd: ['/usr/bin/containerd', '/usr/local/bin/containerd'],
  podman: ['/usr/bin/podman', '/usr/local/bin/podman'],
} as const;
export type PeerName = keyof typeof PLACES;

/** Where containers find the programs of the CNI project. */
const CNI_PLACES = ['/opt/cni/bin', '/usr/lib/cni', '/usr/libexec/cni'];

/** What all benchmarks share: a directory, the image, the programs of the peers. */
export interface Host extends Disposable {
  dir: string;
  /** An OCI layout of the image, and the same as an archive. */
  layout: string;
  archive: string;
  /** The archive of an image that does nothing, for pods of peers. */
  pauseArchive: string;
  peers: Partial<Record<PeerName, string>>;
  cniBin: string | undefined;
  /** A new directory. */
  scratch(name: string): string;
}

/** In the image: payload.c. */
export const PAYLOAD = '/bin/payload';

export function openHost(): Host {
  const dir = mkdtempSync(join(tmpdir(), 'coracle-bench-'));
  const remove = () => rmSync(dir, { recursive: true, force: true });
  try {
    const data = compilePayload(join(dir, 'payload'));
    const files = { 'bin/payload': { data, mode: 0o755 } };
    const make = (name: string, image: string, entrypoint?: string[]) => {
      const layout = join(dir, name);
      makeBusyboxLayout(layout, { name: image, files, ...(entrypoint ? { entrypoint } : {}) });
      tarLayout(layout, `${layout}.tar`);
      return layout;
    };
    const layout = make('image', IMAGE);
    const pause = make('pause', PAUSE_IMAGE, [PAYLOAD]);
    let count = 0;
    return {
      dir,
      layout,
      archive: `${layout}.tar`,
      pauseArchive: `${pause}.tar`,
      peers: findPeers(),
      cniBin: CNI_PLACES.find((place) => existsSync(join(place, 'bridge'))),
      scratch: (name) => {
        count += 1;
        const path = join(dir, `${name}-${count}`);
        mkdirSync(path);
        return path;
      },
      [Symbol.dispose]: remove,
    };
  } catch (error) {
    remove();
    throw error;
  }
}

export function findPeers(): Partial<Record<PeerName, string>> {
  const found = Object.entries(PLACES).map(([name, places]) => {
    const named = process.env[name.toUpperCase()];
    const path = (named ? [named] : places).find((each) => existsSync(each));
    return [name, path] as const;
  });
  return Object.fromEntries(found.filter(([, path]) => path !== undefined));
}

function compilePayload(out: string): Buffer {
  const source = fileURLToPath(new URL('../payload.c', import.meta.url));
  const alone = ['-static', '-nostdlib', '-ffreestanding', '-fno-builtin'];
  execFileSync('cc', ['-O2', ...alone, '-fno-stack-protector', '-o', out, source]);
  return readFileSync(out);
}
