import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CoracleError } from '../../errors.ts';
import { describeNative, isNativeError } from '../../native/addon.ts';
import type { NativeError } from '../../native/types.ts';
import type { CgroupLayout } from './layout.ts';
import { cgroupDirs } from './paths.ts';

/**
 * The failure of file operations, as FailedPrecondition where it was a limit that this host does not
 * take: the message names the file, and the controller where that is what is missing. A controller
 * that the root has may still not reach a container's cgroup: delegation can withhold it, and "cpu"
 * the kernel keeps back while real-time processes are about. The same for a parent that was asked for
 * and is no name of a cgroup. Any other error as it is.
 */
export function refusedLimit(layout: CgroupLayout, error: unknown): unknown {
  if (!isNativeError(error) || !/^(open|write|mkdir) ?/.test(error.step)) return error;
  const roots = cgroupDirs(layout, '/');
  if (!roots.some((root) => error.path.startsWith(join(root, '/')))) return error;
  if (error.step === 'mkdir') return NO_NAME.has(error.code) ? refusedParent(error) : error;
  const dir = dirname(error.path);
  const file = basename(error.path);
  const controller = file.slice(0, file.indexOf('.'));
  const missing = error.code === 'ENOENT' && isWithheld(dir, controller);
  const why = missing
    ? `${file} cannot be set: the ${controller} controller is not available to ${dir}`
    : describeNative(error);
  return new CoracleError('FailedPrecondition', `resources: ${why}`, { cause: error });
}

/** What mkdir(2) says in cgroupfs of a name that no cgroup can have, as that of a file there. */
const NO_NAME = new Set(['ENOTDIR', 'ENAMETOOLONG', 'EINVAL', 'EEXIST']);

function refusedParent(error: NativeError): CoracleError {
  const what = `cgroupParent: ${describeNative(error)}`;
  return new CoracleError('FailedPrecondition', what, { cause: error });
}

/** Of a v2 cgroup; in v1 every cgroup of a hierarchy has its controllers. */
function isWithheld(dir: string, controller: string): boolean {
  try {
    const there = readFileSync(join(dir, 'cgroup.controllers'), 'utf8').trim().split(' ');
    return controller !== 'cgroup' && !there.includes(controller);
  } catch {
    return false;
  }
}
