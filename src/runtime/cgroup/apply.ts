import { readFileSync } from 'node:fs';
import type { FileOp } from '../../native/types.ts';
import type { Resources } from '../../spec/oci.ts';
import type { RuntimeContext } from '../context.ts';
import { fromNative } from '../native-failure.ts';
import { updateOps } from './index.ts';
import { refuseBelowUsage } from './memory-room.ts';

/**
 * Sets limits of an existing cgroup anew, all or none: when the kernel refuses one, the values that
 * the files had before are written back. Returns what undoes it all.
 *
 * Throws FailedPrecondition naming the file, the value and the errno (EBUSY: memory that is in use;
 * EINVAL: a CPU that the parent has not), InvalidArgument for a file of no controller.
 */
export async function applyLimits(
  ctx: Pick<RuntimeContext, 'addon' | 'cgroups' | 'log'>,
  path: string,
  next: Resources,
  previous: Resources,
): Promise<() => Promise<void>> {
  const ops = updateOps(ctx.cgroups, path, next, previous);
  refuseBelowUsage(ctx.cgroups, path, next);
  const back = ops.flatMap(formerValue).reverse();
  const undo = async () => {
    try {
      await ctx.addon.runFileOps(back);
    } catch (error) {
      ctx.log.error({ path, err: error }, 'former limits of a cgroup could not be set again');
    }
  };
  try {
    await ctx.addon.runFileOps(ops);
  } catch (error) {
    await undo();
    throw fromNative(error, 'FailedPrecondition');
  }
  return undo;
}

/**
 * The writes that bring a file back, whatever becomes of others. Lists of devices take a line at a
 * time; a file that cannot be read is a command (memory.reclaim) and has no former value.
 */
function formerValue(op: FileOp): FileOp[] {
  if (op.op !== 'write') return [];
  let text: string;
  try {
    text = readFileSync(op.path, 'utf8').trimEnd();
  } catch {
    return [];
  }
  // An empty write(2) reaches no file of cgroupfs; a blank line clears a cpuset of v2.
  const lines = text === '' ? ['\n'] : text.split('\n');
  return lines.map((value) => ({ op: 'write', path: op.path, value, optional: true }));
}
