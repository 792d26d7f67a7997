/** Reads the forms in which the kernel writes its numbers (Documentation/admin-guide/cgroup-v2). */
import type { Pressure, PressureLine } from './usage.ts';

/** The text of a file of one cgroup; undefined where it is missing. */
export type ReadFile = (name: string) => string | undefined;

/** v1 writes the largest multiple of a page below 2^63 for "no limit". */
const UNLIMITED = 1n << 62n;

/** A file of one number; undefined where there is none. */
export function single(text: string | undefined): bigint | undefined {
  const digits = text?.trim();
  return digits !== undefined && /^\d+$/.test(digits) ? BigInt(digits) : undefined;
}

/** A limit: undefined also for "max", and for what v1 writes instead. */
export function limitOf(text: string | undefined): bigint | undefined {
  const value = single(text);
  return value === undefined || value >= UNLIMITED ? undefined : value;
}

/** A "flat keyed" file: a name and a number in each line. */
export class FlatKeyed {
  readonly #values: ReadonlyMap<string, string>;

  constructor(text: string) {
    const values = new Map<string, string>();
    for (const line of text.split('\n')) {
      const blank = line.indexOf(' ');
      if (blank > 0) values.set(line.slice(0, blank), line.slice(blank + 1));
    }
    this.#values = values;
  }

  find(name: string): bigint | undefined {
    return single(this.#values.get(name));
  }

  /** 0 for a name that is not there: a kernel that counts nothing of the kind. */
  get(name: string): bigint {
    return this.find(name) ?? 0n;
  }

  limit(name: string): bigint | undefined {
    return limitOf(this.#values.get(name));
  }
}

export function flatKeyed(text: string | undefined): FlatKeyed | undefined {
  return text === undefined || text === '' ? undefined : new FlatKeyed(text);
}

/** "some avg10=0.12 avg60=0.01 avg300=0.00 total=8712" and "full …", times in µs. */
export function pressureOf(text: string | undefined): Pressure | undefined {
  if (!text) return undefined;
  const pressure: Pressure = {};
  for (const line of text.split('\n')) {
    const match = /^(some|full) avg10=([\d.]+) avg60=([\d.]+) avg300=([\d.]+) total=(\d+)$/.exec(
      line,
    );
    if (match === null) continue;
    const [, kind, avg10, avg60, avg300, total] = match as unknown as [
      string,
      'some' | 'full',
      ...string[],
    ];
    const of: PressureLine = {
      total: BigInt(total as string) * 1000n,
      avg10: Number(avg10),
      avg60: Number(avg60),
      avg300: Number(avg300),
    };
    pressure[kind] = of;
  }
  return pressure.some || pressure.full ? pressure : undefined;
}
