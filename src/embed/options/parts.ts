/** The parts that options are made of. What they mean together is checked where they are used. */
import { isIP } from 'node:net';
import * as v from 'valibot';

/** Text that goes to the kernel, which would read it up to a NUL. */
export const text = v.pipe(
  v.string(),
  v.check((given) => !given.includes('\0'), 'contains a NUL byte'),
);
export const name = v.pipe(text, v.nonEmpty('is empty'));
export const path = v.pipe(text, v.startsWith('/', 'is not an absolute path'));
export const flag = v.boolean();

/** What JavaScript holds exactly. */
export const integer = v.pipe(v.number(), v.safeInteger('is not a whole number'));
export const natural = v.pipe(integer, v.minValue(0, 'is negative'));
export const positive = v.pipe(integer, v.minValue(1, 'is not above zero'));

/** The last id of 32 bits is none (setresuid(2)). */
export const id = v.pipe(natural, v.maxValue(0xffff_fffe, 'is not an id'));
export const port = v.pipe(natural, v.maxValue(65_535, 'is not a port'));
export const ip = v.pipe(
  v.string(),
  v.check((given) => isIP(given) !== 0, 'is not an IP address'),
);

/** Fires, or not: any object that a signal is made of. */
export const signal = v.optional(v.instance(AbortSignal));

/** Labels, annotations, parameters: text by text. */
export const texts = v.record(v.string(), v.string());
export const list = v.array(text);

/** A duration; what timers do not take is cut to what they do. */
export const milliseconds = v.pipe(v.number(), v.minValue(0, 'is negative'));

export const resources = v.strictObject({
  cpuShares: v.optional(natural),
  cpuQuota: v.optional(integer),
  cpuPeriod: v.optional(natural),
  cpusetCpus: v.optional(text),
  cpusetMems: v.optional(text),
  memoryLimit: v.optional(integer),
  memorySwapLimit: v.optional(integer),
  oomScoreAdj: v.optional(integer),
  pidsLimit: v.optional(integer),
  hugepageLimits: v.optional(v.array(v.strictObject({ pageSize: text, limit: natural }))),
  unified: v.optional(v.record(v.string(), text)),
});
