import type { ReadFile } from './parse.ts';
import type { CgroupUsage } from './usage.ts';

/** Which files of a controller are read, and what they tell. */
export interface Reading {
  readonly files: readonly string[];
  /** What `CgroupUsage` gets from them; they are in one directory. */
  parse(read: ReadFile): CgroupUsage;
}

/** How one thing is read from either version of cgroups. */
export interface Part {
  /** The v1 controller whose hierarchy has `v1`'s files. */
  readonly controller: string;
  readonly v1?: Reading;
  readonly v2?: Reading;
  /** v2 has the files in every cgroup, whether or not it has the controller (cgroup-v2, Core). */
  readonly core?: boolean;
}
