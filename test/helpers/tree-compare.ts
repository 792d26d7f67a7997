import { execFileSync } from 'node:child_process';
import { type BigIntStats, lstatSync, readdirSync, readlinkSync } from 'node:fs';

const SLASH = Buffer.from('/');

/**
 * One line for each name below a directory: type and mode, owner, device, size, time, target, and
 * which names are one file. Names are shown as Latin-1, so that every byte counts.
 */
export function describeTree(root: string): string[] {
  const lines: string[] = [];
  const files = new Map<bigint, string>();
  const visit = (path: Buffer, shown: string): void => {
    const status = lstatSync(path, { bigint: true });
    lines.push(`${shown} ${describeOne(path, shown, status, files)}`);
    if (!status.isDirectory()) return;
    for (const name of readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare)) {
      visit(Buffer.concat([path, SLASH, name]), `${shown}/${name.toString('latin1')}`);
    }
  };
  visit(Buffer.from(root), '.');
  return lines;
}

function describeOne(
  path: Buffer,
  shown: string,
  status: BigIntStats,
  files: Map<bigint, string>,
): string {
  const words = [status.mode.toString(8), `${status.uid}:${status.gid}`, `mtime=${status.mtimeNs}`];
  if (status.isSymbolicLink()) {
    words.push(`-> ${readlinkSync(path, { encoding: 'buffer' }).toString('latin1')}`);
  } else if (status.isCharacterDevice() || status.isBlockDevice()) {
    words.push(`device=${status.rdev}`);
  } else if (status.isFile()) {
    words.push(`size=${status.size}`);
  }
  if (!status.isDirectory() && status.nlink > 1n) {
    const first = files.get(status.ino) ?? shown;
    files.set(status.ino, first);
    words.push(`links=${status.nlink} first=${first}`);
  }
  return words.join(' ');
}

/** Digest of everything that GNU tar sees of a tree: attributes and contents, too. */
export function tarDigest(root: string): string {
  const options = [
    '--sort=name',
    '--format=pax',
    '--numeric-owner',
    '--xattrs',
    '--xattrs-include=*',
    // Else there is a process id in it.
    '--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f',
  ];
  const command = `tar ${options.map((option) => `'${option}'`).join(' ')} -cf - . | sha256sum`;
  return execFileSync('bash', ['-o', 'pipefail', '-c', command], { cwd: root, encoding: 'utf8' });
}

/** Where two descriptions differ, at most `limit` lines of each. */
export function differences(expected: string[], actual: string[], limit = 10): string[] {
  const known = new Set(expected);
  const found = new Set(actual);
  const missing = expected.filter((line) => !found.has(line)).slice(0, limit);
  const extra = actual.filter((line) => !known.has(line)).slice(0, limit);
  return [...missing.map((line) => `- ${line}`), ...extra.map((line) => `+ ${line}`)];
}
