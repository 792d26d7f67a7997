import { close, constants, openSync } from 'node:fs';
import { promisify } from 'node:util';
import { SerialQueue } from '../store/serial-queue.ts';

/** O_PATH of open(2), which Node.js has no name for. */
const O_PATH = 0o10000000;

const closeAside = promisify(close);
/** One at a time: each may take as long as the disk, and the threads that do it are few. */
const closings = new SerialQueue();

/**
 * Holds the root mount of a running process, until the returned function is called.
 *
 * An overlay that is unmounted for the last time first writes out the whole file system that its
 * upper layer is on (`ovl_sync_fs` of fs/overlayfs/super.c), whoever has written there: in the exit
 * of the process that was the last in it, and nobody learns of that exit before. Held, it goes when
 * the exit has been told. Volumes and all other mounts go with the process, as ever.
 *
 * A process that ends meanwhile, or cannot be held, exits as slowly as its disk is.
 */
export function holdRoot(pid: number): () => void {
  const fd = openRoot(pid);
  return () => {
    if (fd !== undefined) closings.run(() => closeAside(fd)).catch(() => {});
  };
}

/** Of procfs, which answers from memory. */
function openRoot(pid: number): number | undefined {
  if (pid === 0) return undefined;
  try {
    return openSync(`/proc/${pid}/root`, O_PATH | constants.O_DIRECTORY);
  } catch {
    return undefined;
  }
}
