import { readFileSync } from 'node:fs';

/** What /proc/PID/stat says of a process (proc_pid_stat(5)). */
export interface ProcStat {
  /** The name of what it runs; at most 15 bytes, of any kind. */
  comm: string;
  /** One letter; Z is a zombie. */
  state: string;
  parent: number;
  /** When it started, in clock ticks since the boot: with the pid it names one process. */
  startTicks: bigint;
}

/** Throws where there is no such process. */
export function procStat(pid: number | string): ProcStat {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // Fields 3 and on follow the name's closing parenthesis; a name may have one of its own.
  const end = stat.lastIndexOf(')');
  const fields = stat.slice(end + 2).split(' ');
  return {
    comm: stat.slice(stat.indexOf('(') + 1, end),
    state: fields[0] ?? '',
    parent: Number(fields[1]),
    startTicks: BigInt(fields[19] ?? ''),
  };
}
