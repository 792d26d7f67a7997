/** What the addon reads of pods and containers while they run. */

/** The files of a batch, as they were at about one time. */
export interface FileBatch {
  /** Halfway through the batch, ns, on the clock of process.hrtime.bigint(). */
  readAt: bigint;
  /** In the order of the paths; null: missing, not readable, or longer than 1 MiB. */
  texts: (string | null)[];
}

/** What runs in a cgroup and in those below it. */
export interface ProcessCounts {
  processes: number;
  threads: number;
  /**
   * Open in all processes together; what several share counts for each. Absent where they were
   * not asked for, or where one of the processes may not be looked into.
   */
  descriptors?: number;
  sockets?: number;
}

/** What a directory tree takes of the disk. */
export interface TreeUsage {
  /** Allocated, as du(1) counts them. */
  bytes: number;
  /** The directory itself and all below; hard links once. */
  inodes: number;
}

export interface StatsAddon {
  /** Reads small files on a worker thread, some 15 µs each; never rejects for a file. */
  readFiles(paths: string[]): Promise<FileBatch>;
  /** In the order of these directories of cgroupfs; null: there is no such cgroup. */
  countProcesses(cgroups: string[], descriptors: boolean): Promise<(ProcessCounts | null)[]>;
  /**
   * Walks a tree on a thread of its own and of least priority. What vanishes meanwhile is passed
   * over. Rejects with a NativeError, ENOENT where there is no such directory.
   */
  measureTree(options: { path: string }, signal?: AbortSignal): Promise<TreeUsage>;
}
