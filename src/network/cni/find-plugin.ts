import { access, constants, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type CallSite, CniFailure } from './failure.ts';

/** The path of a plugin's program: the first of that name in the directories. */
export async function findPlugin(binDirs: readonly string[], site: CallSite): Promise<string> {
  for (const dir of binDirs) {
    const path = join(dir, site.plugin);
    const file = await stat(path).catch(() => undefined);
    if (!file?.isFile()) continue;
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      throw new CniFailure(site, `${path} is not executable`, { kind: 'FailedPrecondition' });
    }
  }
  // Not NotFound: to a caller that removes a pod, it would mean that the pod is gone.
  throw new CniFailure(site, `there is no such plugin in ${binDirs.join(', ')}`, {
    kind: 'FailedPrecondition',
  });
}
