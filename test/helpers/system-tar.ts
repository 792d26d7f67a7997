import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** Directories that a Debian or Ubuntu root file system has, and that hold still. */
const SYSTEM = [
  ...['bin', 'sbin', 'lib', 'etc', 'usr/sbin', 'usr/share/zoneinfo', 'usr/share/perl'],
  ...['usr/share/ca-certificates', 'usr/share/doc', 'usr/include', 'usr/bin'],
];

const NUL = Buffer.from([0]);

/**
 * Archives a part of this host's own root file system: it is what images are made of. Files of more
 * than `maxFile` bytes are left out, and everything past `maxEntries` and `maxBytes`.
 */
export function makeSystemTar(
  file: string,
  limits: { maxEntries: number; maxBytes: number; maxFile: number },
): { entries: number; bytes: number } {
  const roots = SYSTEM.filter((path) => existsSync(`/${path}`));
  const found = execFileSync('find', [...roots, '-xdev', '-printf', String.raw`%y %s %p\0`], {
    cwd: '/',
    maxBuffer: 256 << 20,
    encoding: 'buffer',
  });
  const names = ['.', 'usr', 'usr/share'].flatMap((name) => [Buffer.from(name), NUL]);
  let bytes = 0;
  for (let at = 0; at < found.length && names.length < 2 * limits.maxEntries; ) {
    const end = found.indexOf(0, at);
    const line = found.subarray(at, end);
    at = end + 1;
    const space = line.indexOf(0x20, 2);
    const size = line[0] === 0x66 ? Number(line.toString('latin1', 2, space)) : 0;
    if (size > limits.maxFile || bytes + size > limits.maxBytes) continue;
    bytes += size;
    names.push(line.subarray(space + 1), NUL);
  }
  const flags = ['--format=pax', '--xattrs', '--xattrs-include=*', '--numeric-owner'];
  execFileSync('tar', [...flags, '--no-recursion', '--null', '-T', '-', '-cf', file], {
    input: Buffer.concat(names),
    cwd: '/',
    stdio: ['pipe', 'inherit', 'inherit'],
  });
  return { entries: names.length / 2, bytes };
}
