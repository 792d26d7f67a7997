/**
 * One image layer unpacked: plain, from gzip and from zstd. Coracle beside GNU tar and, where it is
 * installed, containerd. The layer is a part of this host's own root file system. Everybody's time
 * includes syncfs(2): an unpacked layer that a power failure takes away is none.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addon } from '../src/native/addon.ts';
import { makeSystemTar } from '../test/helpers/system-tar.ts';
import { type Contestant, interleave, type Summary, summarise, timed } from './stats.ts';
import { containerdPeer } from './unpack-containerd.ts';

const FORMS = {
  none: { file: 'layer.tar', make: undefined, tar: '-xf' },
  gzip: { file: 'layer.tar.gz', make: 'gzip -6 -c', tar: '-xzf' },
  zstd: { file: 'layer.tar.zst', make: 'zstd -3 -q -c', tar: '--zstd -xf' },
} as const;
type Form = keyof typeof FORMS;

export interface UnpackResults {
  layer: { entries: number; bytes: number; blobs: Record<Form, number> };
  /** Contestant → form → milliseconds. */
  times: Record<string, Record<string, Summary>>;
}

/** Two gigabytes are needed, and the kernel's own copies of what is read. */
const ROOM = 4 * 2 ** 30;

/**
 * In memory where there is room. Disks differ; and ext4 without a journal takes ten times as long to
 * make a file for a minute after many were removed, whoever makes it.
 */
function defaultDirectory(): string {
  const { type, bavail, bsize } = statfsSync('/dev/shm');
  const TMPFS = 0x01021994;
  return type === TMPFS && bavail * bsize > ROOM ? '/dev/shm' : tmpdir();
}

/** `dir` is on the file system to measure. */
export async function benchUnpack(
  rounds: number,
  dir = defaultDirectory(),
): Promise<UnpackResults> {
  const scratch = mkdtempSync(join(dir, 'coracle-unpack-'));
  try {
    const tar = join(scratch, FORMS.none.file);
    const limits = { maxEntries: 15_000, maxBytes: 320 << 20, maxFile: 8 << 20 };
    const { entries } = makeSystemTar(tar, limits);
    const blobs = { none: statSync(tar).size, gzip: 0, zstd: 0 };
    for (const form of ['gzip', 'zstd'] as const) {
      const { make, file } = FORMS[form];
      // Fails, by name, where the program is not installed.
      execFileSync('sh', ['-c', `${make} layer.tar > ${file}`], { cwd: scratch });
      blobs[form] = statSync(join(scratch, file)).size;
    }
    await using containerd = await containerdPeer(scratch);
    const contestants = [coracle(scratch), gnuTar(scratch), ...containerd.contestants];
    const series = await interleave(contestants, rounds, 1);
    const times = [...series].map(([name, forms]) => [
      name,
      Object.fromEntries([...forms].map(([form, values]) => [form, summarise(values)])),
    ]);
    return { layer: { entries, bytes: blobs.none, blobs }, times: Object.fromEntries(times) };
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** Runs `unpack` for each form into a new directory, with nothing left to write beforehand. */
function contestant(
  name: string,
  scratch: string,
  unpack: (form: Form, target: string) => Promise<void>,
): Contestant {
  return {
    name,
    once: async () => {
      const phases: Record<string, number> = {};
      for (const form of Object.keys(FORMS) as Form[]) {
        const target = join(scratch, 'target');
        mkdirSync(join(target, 'fs'), { recursive: true });
        mkdirSync(join(target, 'work'));
        readFileSync(join(scratch, FORMS[form].file));
        await command('sync', ['-f', scratch]);
        const [ms] = await timed(() => unpack(form, target));
        phases[form] = ms;
        rmSync(target, { recursive: true });
      }
      return phases;
    },
  };
}

function coracle(scratch: string): Contestant {
  return contestant('coracle', scratch, async (form, target) => {
    await addon.applyLayer({
      blob: join(scratch, FORMS[form].file),
      compression: form,
      target: join(target, 'fs'),
      work: join(target, 'work'),
      parents: [],
      maxBytes: 1n << 40n,
      maxEntries: 1_000_000,
    });
  });
}

function gnuTar(scratch: string): Contestant {
  return contestant('GNU tar', scratch, async (form, target) => {
    const flags = ['--xattrs', '--xattrs-include=*', '--numeric-owner', '-p'];
    const { file, tar } = FORMS[form];
    const fs = join(target, 'fs');
    await command('tar', [...flags, '-C', fs, ...tar.split(' '), join(scratch, file)]);
    await command('sync', ['-f', fs]);
  });
}

/** Runs a program found in the usual places. Throws with what it said. */
export async function command(name: string, args: string[]): Promise<string> {
  const env = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'];
  const argv = ['/usr/bin/env', name, ...args];
  const { exitCode, stdout, stderr } = await addon.spawn({ file: '/usr/bin/env', argv, env });
  if (exitCode !== 0) throw new Error(`${name} ${args.join(' ')}: ${exitCode}: ${stderr.trim()}`);
  return stdout;
}
