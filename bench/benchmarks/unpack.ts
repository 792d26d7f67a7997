import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addon } from '../../src/native/addon.ts';
import { makeSystemTar } from '../../test/helpers/system-tar.ts';
import { type Benchmark, roundsOf, type Size } from '../benchmark.ts';
import { containerdPeer } from '../hosts/containerd-unpack.ts';
import { runProgram } from '../hosts/run-program.ts';
import { OURS, rowsOf } from '../outcome.ts';
import { addTo, type Contestant, interleave, type SeriesMap, timed } from '../stats.ts';

const FORMS = {
  none: { file: 'layer.tar', make: undefined, tar: '-xf' },
  gzip: { file: 'layer.tar.gz', make: 'gzip -6 -c', tar: '-xzf' },
  zstd: { file: 'layer.tar.zst', make: 'zstd -3 -q -c', tar: '--zstd -xf' },
} as const;
type Form = keyof typeof FORMS;

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

const named = (form: Form) => (form === 'none' ? 'tar' : form);

export const unpack: Benchmark = {
  name: 'unpack',
  title: 'Unpacking',
  about:
    'One layer, a part of the root file system of this host: plain, from gzip and from zstd, beside ' +
    'GNU tar and `ctr snapshots unpack`. Time includes syncfs(2): an unpacked layer that a power ' +
    'failure takes away is none.',
  run: async (request) => {
    const rounds = roundsOf(request, { full: 5, quick: 2, smallest: 1 });
    const { dir = defaultDirectory(), size } = request;
    const scratch = mkdtempSync(join(dir, 'coracle-unpack-'));
    try {
      const { entries, bytes } = makeLayer(scratch, size);
      await using containerd = await containerdPeer(scratch, request.host.peers.containerd);
      const contestants = [coracle(scratch), gnuTar(scratch), ...containerd.contestants];
      const series = await interleave(contestants, rounds, size === 'smallest' ? 0 : 1);
      const speeds: SeriesMap = new Map();
      for (const [who, forms] of series) {
        for (const [form, times] of forms) {
          for (const ms of times)
            addTo(speeds, who, { [`unpack, ${named(form as Form)}`]: bytes / 1e3 / ms });
        }
      }
      const whats = (Object.keys(FORMS) as Form[]).map((form) => `unpack, ${named(form)}`);
      return {
        rows: rowsOf(speeds, 'MB/s').map((row) => ({ ...row, moreIsBetter: true })),
        charts: [{ kind: 'bars', title: 'Unpacking, by uncompressed bytes', unit: 'MB/s', whats }],
        notes: [
          `${rounds} rounds; ${entries} entries, ${(bytes / 1e6).toFixed(0)} MB, in ${dir}.`,
          ...containerd.notes,
        ],
      };
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
  },
};

/** Writes the layer in all forms; returns its size as a tar. */
function makeLayer(scratch: string, size: Size): { entries: number; bytes: number } {
  const tar = join(scratch, FORMS.none.file);
  const limits = {
    full: { maxEntries: 15_000, maxBytes: 320 << 20, maxFile: 8 << 20 },
    quick: { maxEntries: 4000, maxBytes: 64 << 20, maxFile: 8 << 20 },
    smallest: { maxEntries: 200, maxBytes: 4 << 20, maxFile: 1 << 20 },
  };
  const { entries } = makeSystemTar(tar, limits[size]);
  for (const form of ['gzip', 'zstd'] as const) {
    const { make, file } = FORMS[form];
    // Fails, by name, where the program is not installed.
    execFileSync('sh', ['-c', `${make} layer.tar > ${file}`], { cwd: scratch });
  }
  return { entries, bytes: statSync(tar).size };
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
        await runProgram('sync', ['-f', scratch]);
        const [ms] = await timed(() => unpack(form, target));
        phases[form] = ms;
        rmSync(target, { recursive: true });
      }
      return phases;
    },
  };
}

function coracle(scratch: string): Contestant {
  return contestant(OURS, scratch, async (form, target) => {
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
    await runProgram('tar', [...flags, '-C', fs, ...tar.split(' '), join(scratch, file)]);
    await runProgram('sync', ['-f', fs]);
  });
}
