import { readFile, statfs } from 'node:fs/promises';

/** The file system of a runtime's root directory, where writable layers are. */
export interface RootDisk {
  /** What is mounted: "/dev/vda1". */
  device: string;
  /** Bytes in all. */
  size: bigint;
  /** Absent where it makes inodes as it needs them (btrfs). */
  inodes?: { total: bigint; free: bigint };
}

/** Looks at it anew: two system calls and one read of /proc/self/mountinfo. */
export async function rootDisk(root: string): Promise<RootDisk> {
  const [facts, mountinfo] = await Promise.all([
    statfs(root, { bigint: true }),
    readFile('/proc/self/mountinfo', 'utf8'),
  ]);
  return {
    device: mountSource(mountinfo, root) ?? '',
    size: facts.blocks * facts.bsize,
    ...(facts.files > 0n && { inodes: { total: facts.files, free: facts.ffree } }),
  };
}

/**
 * The source of the mount that a path is on (proc_pid_mountinfo(5)): the longest mount point above
 * it, the last one mounted where there are several.
 */
export function mountSource(mountinfo: string, path: string): string | undefined {
  let best: { point: string; source: string } | undefined;
  for (const line of mountinfo.split('\n')) {
    const [left, right] = line.split(' - ');
    const point = unescapeOctal(left?.split(' ')[4] ?? '');
    const source = right?.split(' ')[1];
    if (point === '' || source === undefined) continue;
    const above = path === point || point === '/' || path.startsWith(`${point}/`);
    if (above && point.length >= (best?.point.length ?? 0)) {
      best = { point, source: unescapeOctal(source) };
    }
  }
  return best?.source;
}

/** Blanks, tabs, newlines and backslashes are octal there. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_all, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
