import * as v from 'valibot';
import { flag, list, milliseconds, name, natural, signal, text } from './parts.ts';

/** A descriptor of this process. */
const descriptor = v.pipe(natural, v.maxValue(0x7fff_ffff, 'is not a descriptor'));
const stdio = v.union([
  v.picklist(['ignore', 'pipe', 'inherit', 'log']),
  descriptor,
  v.strictObject({ raw: descriptor }),
]);
const streams = {
  stdin: v.optional(stdio),
  stdout: v.optional(stdio),
  stderr: v.optional(stdio),
};

/** `StdioOptions`. */
export const stdioOptions = v.strictObject(streams);

/** `ExecOptions`. */
export const execOptions = v.strictObject({
  ...streams,
  tty: v.optional(flag),
  env: v.optional(v.array(v.strictTuple([text, text]))),
  workingDir: v.optional(text),
  user: v.optional(text),
});

export const argv = v.pipe(list, v.nonEmpty('names no command'));

/** What may be given up. */
export const waitOptions = v.strictObject({ signal });
/** `CreateCall`. */
export const createOptions = v.strictObject({ ahead: v.optional(stdioOptions), signal });
/** `WaitOptions`. */
export const exitOptions = v.strictObject({ durable: v.optional(flag), signal });
/** `ExecSyncOptions`, and those of a stop. */
export const timedOptions = v.strictObject({ timeoutMs: v.optional(milliseconds), signal });

/** `AttachOptions`. */
export const attachOptions = v.strictObject({
  stdin: v.optional(flag),
  stdout: v.optional(flag),
  stderr: v.optional(flag),
  signal,
});

export const signalName = v.union([name, natural]);
