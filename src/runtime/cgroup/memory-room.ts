import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CoracleError } from '../../errors.ts';
import type { Resources } from '../../spec/oci.ts';
import type { CgroupLayout } from './layout.ts';

/**
 * Refuses a memory limit below what the cgroup's processes hold and could not be made to give back.
 * cgroup v1 does so itself, with EBUSY; v2 takes the limit and kills for it
 * (Documentation/admin-guide/cgroup-v2, "memory.max"). FailedPrecondition.
 */
export function refuseBelowUsage(layout: CgroupLayout, path: string, { memory }: Resources): void {
  const { v2 } = layout;
  const limit = memory?.limit ?? -1;
  const swaps = (memory?.swap ?? limit) !== limit;
  if (limit < 0 || swaps || !v2?.controllers.includes('memory')) return;
  const dir = join(v2.root, path);
  const held = unreclaimable(read(dir, 'memory.current'), read(dir, 'memory.stat'));
  if (held <= limit) return;
  throw new CoracleError(
    'FailedPrecondition',
    `memory limit ${limit}: ${held} bytes are in use in ${dir} that cannot be reclaimed`,
  );
}

/** Bytes of memory.current that are not page cache of files, going by memory.stat. */
export function unreclaimable(current: string, stat: string): number {
  const value = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(stat)?.[1] ?? 0);
  return Number(current) - value('inactive_file') - value('active_file');
}

function read(dir: string, file: string): string {
  try {
    return readFileSync(join(dir, file), 'utf8').trim();
  } catch {
    return '';
  }
}
