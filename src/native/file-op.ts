/** One operation of a batch that runs on a worker thread, in order. */
export type FileOp =
  /** mkdir(2), or mkdir -p with `parents`; an existing directory is no error. */
  | { op: 'mkdir'; path: string; mode: number; parents: boolean }
  /** One write(2) at the file's begin. `optional`: a missing file or a refused value is no error. */
  | { op: 'write'; path: string; value: string; optional: boolean }
  /** A file of its own with this content, mode and owner, over what was there. */
  | { op: 'create'; path: string; value: string; mode: number; uid: number; gid: number }
  /**
   * rmdir(2); a missing directory is no error; EBUSY is retried for a short while. `below`: of a
   * cgroup, with those in it, which an init system in a container makes.
   */
  | { op: 'rmdir'; path: string; below: boolean }
  /** rm -rf without leaving the file system of `path`; a missing path is no error. */
  | { op: 'removeTree'; path: string }
  /** rename(2) to `to`, for later deletion; `removeTree` where that fails, as on another disk. */
  | { op: 'discard'; path: string; to: string }
  /** mount(2) with MS_BIND: `source` (a file, as /proc/PID/ns/net) onto `path`, made if missing. */
  | { op: 'bindFile'; source: string; path: string }
  /** umount2(2) with MNT_DETACH and UMOUNT_NOFOLLOW, all that is mounted there, then unlink(2);
   *  a path that is missing or no mount point is no error. */
  | { op: 'unbindFile'; path: string };
