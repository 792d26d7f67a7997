import type { Stats } from 'node:fs';
import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type CallSite, CniFailure } from './failure.ts';

/** The first file of a plugin's name in the directories; whether it can be run is not looked at. */
export async function locatePlugin(
  binDirs: readonly string[],
  plugin: string,
): Promise<{ path: string; stats: Stats } | undefined> {
  for (const dir of binDirs) {
    const path = join(dir, plugin);
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isFile()) return { path, stats };
  }
  return undefined;
}

/** The path of a plugin's program: the first of that name in the directories. */
export async function findPlugin(binDirs: readonly string[], site: CallSite): Promise<string> {
  const path = (await locatePlugin(binDirs, site.plugin))?.path;
  if (path === undefined) {
    // Not NotFound: to a caller that removes a pod, it would mean that the pod is gone.
    throw new CniFailure(site, `there is no such plugin in ${binDirs.join(', ')}`, {
      kind: 'FailedPrecondition',
    });
  }
  try {
    await access(path, constants.X_OK);
    return path;
  } catch {
    throw new CniFailure(site, `${path} is not executable`, { kind: 'FailedPrecondition' });
  }
}
