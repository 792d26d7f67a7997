import { isAbsolute, join } from 'node:path';
import type { LaunchOptions, LogPath } from '../native/types.ts';
import type { ContainerRecord } from '../store/types.ts';
import type { RuntimeContext } from './context.ts';
import type { Task } from './task.ts';

/** Where an embedding program wants a container's streams, in place of the CRI log. */
export interface ContainerIo extends Pick<LaunchOptions, 'stdio' | 'log' | 'attach'> {
  /** Called with the task before its program runs. What it throws fails the start. */
  parked?: (task: Task) => Promise<void>;
}

/**
 * The CRI log: both streams into one file, stdout alone with a terminal, discarded without a log
 * path (ST-16, LG-7). Clients may attach; a stdin that was asked for is held open for them.
 */
export function logStdio(
  ctx: RuntimeContext,
  record: Pick<ContainerRecord, 'sandboxId' | 'config'>,
): ContainerIo {
  const log = logFile(ctx, record);
  const { stdin = false, stdinOnce = false, tty = false } = record.config;
  const attaches = ctx.monitors.find(record.sandboxId)?.attaches;
  if (log === undefined && !attaches) {
    return { stdio: [{ type: 'null' }, { type: 'null' }, { type: 'null' }] };
  }
  return {
    stdio: [{ type: 'null' }, { type: 'log' }, { type: 'log' }],
    ...(log && { log: { type: 'cri', ...log, maxLine: ctx.options.maxLogLine } }),
    ...(attaches && { attach: { stdin: stdin && !tty, stdinOnce } }),
  };
}

/**
 * A container's log file: both parts of its path must be given (CR-10). Its pod's log directory is
 * the client's word; what is in there may be another container's work, where the host's logs are
 * shared into one that collects them.
 */
export function logFile(
  ctx: RuntimeContext,
  record: Pick<ContainerRecord, 'sandboxId' | 'config'>,
): LogPath | undefined {
  const directory = ctx.sandboxes.find(record.sandboxId)?.record.config.logDirectory;
  const file = record.config.logPath;
  if (!file) return undefined;
  if (isAbsolute(file) && !directory) return { path: file };
  return directory ? { path: join(directory, file), within: join(directory) } : undefined;
}

/** The host path of a container's log file. */
export function logPath(ctx: RuntimeContext, record: ContainerRecord): string | undefined {
  return logFile(ctx, record)?.path;
}
