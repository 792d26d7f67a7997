import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDamagedFile } from '../store/engine.ts';
import type { HostCheck } from './doctor.ts';

/** Whether files of records were found damaged at some start, and nobody has removed them yet. */
export async function recordsCheck(root: string): Promise<HostCheck> {
  const meta = join(root, 'meta');
  const found = (await readdir(meta).catch(() => [])).filter(isDamagedFile);
  if (found.length === 0) {
    return { name: 'records', state: 'ok', detail: `no damaged file is kept in ${meta}` };
  }
  const detail = `${found.map((name) => join(meta, name)).join(', ')}: replaced when damaged; the log of that start tells what was lost; to be removed when nobody needs it`;
  return { name: 'records', state: 'degraded', detail };
}
