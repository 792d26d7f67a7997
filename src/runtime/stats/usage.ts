/**
 * What a cgroup and those below it have used, and what they may use. Everything is optional: what
 * is absent, this host does not count, or the cgroup has no such limit.
 */
export interface CgroupUsage {
  cpu?: CpuTime;
  throttling?: Throttling;
  cpuLimit?: CpuLimit;
  memory?: MemoryUsage;
  swap?: SwapUsage;
  memoryDetail?: MemoryDetail;
  memoryLimit?: MemoryLimit;
  io?: DeviceIo[];
  threads?: ThreadUsage;
  hugepages?: HugepageUsage[];
  pressure?: { cpu?: Pressure; memory?: Pressure; io?: Pressure };
}

/** CPU time of all processors together, ns. */
export interface CpuTime {
  total: bigint;
  user?: bigint;
  system?: bigint;
}

/** What the CPU quota has done (Documentation/scheduler/sched-bwc). */
export interface Throttling {
  periods: bigint;
  throttledPeriods: bigint;
  /** ns. */
  throttled: bigint;
}

export interface CpuLimit {
  /** Relative weight on the scale of cgroup v1. */
  shares?: bigint;
  /** µs in each period; absent: no limit. */
  quota?: bigint;
  /** µs. */
  period?: bigint;
}

/** Bytes, and numbers of faults. */
export interface MemoryUsage {
  usage: bigint;
  /** Usage without the page cache that can be dropped at once: inactive files. */
  workingSet: bigint;
  /** Anonymous memory, without swap. */
  rss: bigint;
  /** All faults, the major ones included. */
  pageFaults: bigint;
  majorPageFaults: bigint;
  /** The lowest of this cgroup's and, on v1, of those above; absent: no limit. */
  limit?: bigint;
}

/** Bytes of swap alone, on v1 too, whose limit counts memory and swap together. */
export interface SwapUsage {
  usage: bigint;
  limit?: bigint;
}

/** Bytes, and counters. */
export interface MemoryDetail {
  cache: bigint;
  mappedFile: bigint;
  activeFile: bigint;
  inactiveFile: bigint;
  kernel?: bigint;
  /** The most since the cgroup was made. */
  maxUsage?: bigint;
  /** How often the limit was met. */
  limitHits?: bigint;
  oomKills?: bigint;
  /** Faults of this cgroup without those below; v2 does not tell them apart. */
  ownPageFaults?: bigint;
  ownMajorPageFaults?: bigint;
}

/** This cgroup's own limits, bytes; absent: no limit. */
export interface MemoryLimit {
  limit?: bigint;
  /** What is left to the cgroup when memory is short: v1's soft limit, v2's memory.low. */
  reservation?: bigint;
  /** Memory and swap together. */
  withSwap?: bigint;
}

/** What went to and came from a block device. */
export interface DeviceIo {
  major: string;
  minor: string;
  readBytes: bigint;
  writeBytes: bigint;
  reads: bigint;
  writes: bigint;
}

export interface ThreadUsage {
  current: bigint;
  /** Absent: no limit. */
  limit?: bigint;
}

export interface HugepageUsage {
  /** "2MB". */
  size: string;
  usage: bigint;
  maxUsage?: bigint;
}

/** Stalls for want of a resource (Documentation/accounting/psi). */
export interface Pressure {
  /** Some of the tasks waited. */
  some?: PressureLine;
  /** All that were not idle waited. */
  full?: PressureLine;
}

export interface PressureLine {
  /** ns. */
  total: bigint;
  /** Percent of the last 10, 60 and 300 s. */
  avg10: number;
  avg60: number;
  avg300: number;
}
