import { readFile, realpath } from 'node:fs/promises';
import { CoracleError } from '../errors.ts';
import type { ContainerConfig, MountConfig } from '../spec/config.ts';
import { makeDirectory } from './make-directory.ts';

/**
 * Makes the host directories that a container's mounts may have made, and checks that mounts can
 * be passed on where that is asked for. A source that is wrong otherwise shows at the start.
 * Throws FailedPrecondition naming the field.
 */
export async function prepareMountSources(config: ContainerConfig): Promise<void> {
  const mounts = config.mounts ?? [];
  for (const { hostPath, createHostPath } of mounts) {
    if (hostPath === undefined || !createHostPath) continue;
    // What cannot be made is missing when it is opened, which says why and where.
    await makeDirectory(hostPath, 0o755).catch(() => {});
  }
  if (mounts.every(isPrivate)) return;
  const table = await readFile('/proc/self/mountinfo', 'utf8');
  for (const [index, mount] of mounts.entries()) {
    if (!isPrivate(mount)) await checkPropagation(table, mount, `mounts[${index}].propagation`);
  }
}

function isPrivate({ propagation = 'private' }: MountConfig): boolean {
  return propagation === 'private';
}

/** A bind can pass mounts on to where the host's own mount does, or from where it gets them. */
async function checkPropagation(
  table: string,
  { hostPath = '', propagation }: MountConfig,
  field: string,
): Promise<void> {
  const source = await realpath(hostPath).catch(() => undefined);
  const under = source === undefined ? undefined : mountOf(table, source);
  if (!under || under.shared || (propagation === 'rslave' && under.slave)) return;
  const wanted = propagation === 'rslave' ? 'shared or slave' : 'shared';
  throw new CoracleError(
    'FailedPrecondition',
    `${field}: ${hostPath} is on the mount ${under.point} of the host, which is not ${wanted}; ` +
      `${propagation} needs one that is`,
  );
}

export interface MountPoint {
  point: string;
  shared: boolean;
  slave: boolean;
}

/** The mount that a real path lies on, by the text of a mountinfo file (proc(5)). */
export function mountOf(table: string, path: string): MountPoint | undefined {
  let found: MountPoint | undefined;
  for (const line of table.split('\n')) {
    const fields = line.split(' - ', 1)[0]?.split(' ') ?? [];
    const point = plainPath(fields[4] ?? '');
    if (point === '' || !isBelow(path, point)) continue;
    // Of several mounts in one place the last one is on top.
    if (found && point.length < found.point.length) continue;
    const tags = fields.slice(6);
    found = {
      point,
      shared: tags.some((tag) => tag.startsWith('shared:')),
      slave: tags.some((tag) => tag.startsWith('master:')),
    };
  }
  return found;
}

function isBelow(path: string, point: string): boolean {
  return point === '/' || path === point || path.startsWith(`${point}/`);
}

/** Blanks, tabs, line ends and backslashes are in octal there. */
function plainPath(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
