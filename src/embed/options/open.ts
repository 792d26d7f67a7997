import * as v from 'valibot';
import type { Logger, RuntimeOptions } from '../../runtime/context.ts';
import { list, milliseconds, name, path, positive, signal, text } from './parts.ts';

const entries = {
  root: v.optional(name),
  state: v.optional(name),
  cgroupDriver: v.optional(v.picklist(['cgroupfs', 'systemd'])),
  maxLogLine: v.optional(v.pipe(positive, v.maxValue(1024 * 1024, 'is more than 1 MiB'))),
  execDrainTimeoutMs: v.optional(milliseconds),
  network: v.optional(
    v.strictObject({
      bridge: text,
      subnet: v.optional(text),
      subnet6: v.optional(text),
      cniConfDir: v.optional(path),
      cniBinDirs: v.array(path),
      cniTimeoutMs: milliseconds,
    }),
  ),
  images: v.optional(
    v.strictObject({
      registryConfigDirs: v.array(path),
      progressTimeoutMs: milliseconds,
      maxDownloads: v.pipe(positive, v.maxValue(64, 'is more than 64')),
      pinned: list,
    }),
  ),
} satisfies Record<keyof RuntimeOptions, v.GenericSchema>;

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;

/** Of pino's shape, which may have far more. */
const log = v.custom<Logger>(
  (given) =>
    typeof given === 'object' &&
    given !== null &&
    LEVELS.every((level) => typeof (given as Partial<Logger>)[level] === 'function'),
  `is not an object with the functions ${LEVELS.join(', ')}`,
);

/** `OpenOptions`. */
export const openOptions = v.strictObject({
  ...entries,
  log: v.optional(log),
  signal,
});
