import { CoracleError } from '../errors.ts';
import type { LinuxResources } from '../spec/config.ts';
import type { Cell, CellRules } from './cell.ts';
import { timesFromText, timesToText } from './record-codec.ts';
import type { Codec } from './table.ts';

/** As whom a container's first process runs, as it was found in the container's own files. */
export interface ProcessIdentity {
  uid: number;
  gid: number;
  groups: number[];
}

/** What changes about a container. Times are CLOCK_REALTIME in ns; 0 means: has not happened. */
export interface ContainerStatus {
  readonly createdAt: bigint;
  readonly startedAt: bigint;
  readonly finishedAt: bigint;
  /** Meaningful once finished; 128 + signal number where a signal ended it. */
  readonly exitCode: number;
  /** CamelCase: "Completed", "Error", "OOMKilled", "StartError". */
  readonly reason: string;
  readonly message: string;
  /** On the host; 0 while nothing runs. */
  readonly pid: number;
  readonly user?: ProcessIdentity;
  /** As updated since the creation; absent: as in the record. */
  readonly resources?: LinuxResources;
  /** The limits that an update is about to set; a crash leaves it for the recovery to finish. */
  readonly updating?: LinuxResources;
  /** What updates were annotated with. */
  readonly updateAnnotations?: Record<string, string>;
  /** In memory only (SS-5): a start is under way. */
  readonly starting: boolean;
  /** In memory only: a removal is under way. */
  readonly removing: boolean;
  /** In memory only: what was recorded does not match what was found. */
  readonly unknown: boolean;
}

export type ContainerState = 'created' | 'running' | 'exited' | 'unknown';

/** A container's status with its transactions. */
export type StatusCell = Cell<ContainerStatus>;

/** Derived, never stored (SS-1). */
export function stateOf(
  status: Pick<ContainerStatus, 'createdAt' | 'startedAt' | 'finishedAt' | 'unknown'>,
): ContainerState {
  if (status.unknown) return 'unknown';
  if (status.finishedAt !== 0n) return 'exited';
  if (status.startedAt !== 0n) return 'running';
  if (status.createdAt !== 0n) return 'created';
  return 'unknown';
}

export function createdStatus(createdAt: bigint): ContainerStatus {
  return {
    createdAt,
    startedAt: 0n,
    finishedAt: 0n,
    exitCode: 0,
    reason: '',
    message: '',
    pid: 0,
    starting: false,
    removing: false,
    unknown: false,
  };
}

export interface Ending {
  finishedAt: bigint;
  exitCode: number;
  reason: string;
  message?: string;
}

/**
 * The status after an end. The first end that is recorded stays (EX-10), and none precedes its
 * start (G-8).
 */
export function ended(status: ContainerStatus, ending: Ending): ContainerStatus {
  if (status.finishedAt !== 0n) return status.unknown ? { ...status, unknown: false } : status;
  const { startedAt } = status;
  return {
    ...status,
    pid: 0,
    unknown: false,
    finishedAt: ending.finishedAt > startedAt ? ending.finishedAt : startedAt,
    exitCode: ending.exitCode,
    reason: ending.reason,
    message: ending.message ?? '',
  };
}

const TIMES = ['createdAt', 'startedAt', 'finishedAt'] as const;

/**
 * Where a container may go (SS-2), besides staying where it is:
 *
 *     CREATED ──(starting)──► RUNNING ──► EXITED ──(removing)──► gone
 *        └───────── failed start ──────────┘ ▲
 *     any, in recovery ──► UNKNOWN ──────────┘
 */
const MOVES: Record<ContainerState, readonly ContainerState[]> = {
  created: ['running', 'exited', 'unknown'],
  running: ['exited', 'unknown'],
  exited: ['unknown'],
  unknown: ['exited'],
};

export const containerStatusRules: CellRules<ContainerStatus> = {
  flags: ['starting', 'removing', 'unknown'],
  check(before, after) {
    const from = stateOf(before);
    const to = stateOf(after);
    if (from !== to && !MOVES[from].includes(to)) {
      throw refused(`a container cannot go from ${from} to ${to}`);
    }
    for (const time of TIMES) {
      if (after[time] !== before[time] && before[time] !== 0n) throw refused(`${time} is set once`);
    }
    if (after.finishedAt !== 0n && after.finishedAt < after.startedAt) {
      throw refused('a container cannot finish before it started');
    }
    if (after.finishedAt !== 0n && after.pid !== 0) {
      throw refused('a container that finished has no pid');
    }
    if (after.starting && !before.starting && (from !== 'created' || before.removing)) {
      throw refused(`a container that is ${before.removing ? 'removing' : from} cannot be started`);
    }
    if (after.removing && !before.removing && (from === 'running' || before.starting)) {
      throw refused(`a container that is ${before.starting ? 'starting' : from} cannot be removed`);
    }
  },
};

function refused(why: string): CoracleError {
  return new CoracleError('FailedPrecondition', why, { reason: 'IllegalTransition' });
}

/** The flags have no place in it: a restart forgets them. */
export const containerStatusCodec: Codec<ContainerStatus> = {
  version: 1,
  encode({ starting: _starting, removing: _removing, unknown: _unknown, ...persisted }) {
    return timesToText(persisted, TIMES);
  },
  decode(data) {
    const given = timesFromText(data, TIMES);
    for (const number of ['exitCode', 'pid']) {
      if (!Number.isInteger(given[number])) throw new TypeError(`${number} is no integer`);
    }
    for (const text of ['reason', 'message']) {
      if (typeof given[text] !== 'string') throw new TypeError(`${text} is no text`);
    }
    const persisted = given as unknown as ContainerStatus;
    return { ...persisted, starting: false, removing: false, unknown: false };
  },
};
