import { constants } from 'node:os';

/**
 * Places where a test can make this process fail: an error of the kernel, a pause, or its death.
 * They are compiled in and do nothing unless they are armed, by CORACLE_FAILPOINTS or by
 * `armFailpoints`; native/sys/failpoint.h reads the same grammar for the native parts.
 *
 *     SPEC   = "seed=" NUMBER | POINT, separated by ";"
 *     POINT  = NAME "=" ACTION ["@" FIRST] ["x" TIMES] ["%" PERCENT]
 *     NAME   = the name of a place, or its beginning and "*"
 *     ACTION = an errno by name | "delay(" MILLISECONDS ")" | "kill" | "count"
 *
 * "journal.sync=EIO@3x1": the third hit fails, and no other. Without FIRST it is the first, without
 * TIMES every hit from there on, without PERCENT each of these. Chance comes from the seed alone.
 * The first POINT that fits a name has it.
 */
interface Failpoint {
  readonly name: string;
  readonly prefix: boolean;
  readonly action: 'error' | 'delay' | 'kill' | 'count';
  readonly code: string;
  readonly ms: number;
  readonly first: number;
  readonly times: number;
  readonly percent: number;
  hits: number;
}

const POINT =
  /^([a-z][a-z0-9.-]*)(\*?)=(?:(E[A-Z0-9]+)|delay\((\d+)\)|(kill|count))(?:@(\d+))?(?:x(\d+))?(?:%(\d+))?$/;

let points: Failpoint[] = [];
let random = 1;
const hits = new Map<string, number>();
let armed = false;
armFailpoints(process.env.CORACLE_FAILPOINTS ?? '');

/**
 * One hit of the place called `name`. Throws an error with `code` and `errno` as one of the
 * kernel's, ends the process with SIGKILL, or returns a promise of the pause, which callers that
 * can wait should await. Returns undefined while nothing is armed for it.
 */
export function failpoint(name: string): Promise<void> | undefined {
  return armed ? hit(name) : undefined;
}

/** Whether any place may fail: for those that would do more than call `failpoint`. */
export function failpointsArmed(): boolean {
  return armed;
}

/** How often each place was hit since the arming; only places that a POINT fits are counted. */
export function failpointHits(): ReadonlyMap<string, number> {
  return hits;
}

/** Takes the place of what was armed; "" disarms. Throws TypeError that quotes what is no POINT. */
export function armFailpoints(spec: string): void {
  const items = spec.split(';').filter((item) => item !== '');
  let seed = 1;
  const next: Failpoint[] = [];
  for (const item of items) {
    const given = /^seed=(\d+)$/.exec(item);
    if (given) seed = Number(given[1]);
    else next.push(parse(item));
  }
  points = next;
  random = (seed >>> 0) ^ 0x9e3779b9 || 1;
  hits.clear();
  armed = points.length > 0;
}

function parse(item: string): Failpoint {
  const match = POINT.exec(item);
  const code = match?.[3] ?? '';
  if (match === null || (code !== '' && !(code in constants.errno))) {
    throw new TypeError(
      `failpoint ${JSON.stringify(item)} is not NAME=ACTION[@FIRST][xTIMES][%PERCENT]`,
    );
  }
  const [, name = '', star, , ms, verb] = match;
  return {
    name,
    prefix: star === '*',
    action: code !== '' ? 'error' : ms !== undefined ? 'delay' : (verb as 'kill' | 'count'),
    code,
    ms: Number(ms ?? 0),
    first: Number(match[6] ?? 1),
    times: Number(match[7] ?? Number.POSITIVE_INFINITY),
    percent: Number(match[8] ?? 100),
    hits: 0,
  };
}

function hit(name: string): Promise<void> | undefined {
  const point = points.find((one) => (one.prefix ? name.startsWith(one.name) : name === one.name));
  if (point === undefined) return undefined;
  hits.set(name, (hits.get(name) ?? 0) + 1);
  point.hits += 1;
  const since = point.hits - point.first;
  if (since < 0 || since >= point.times) return undefined;
  if (point.percent < 100 && chance() >= point.percent) return undefined;
  switch (point.action) {
    case 'error':
      throw failure(point.code, name);
    case 'kill':
      process.kill(process.pid, 'SIGKILL');
      // The signal is delivered on the way out of kill(2), or a little later to a busy thread.
      for (;;);
    case 'delay':
      return new Promise((resolve) => setTimeout(resolve, point.ms));
    case 'count':
      return undefined;
  }
}

/** 0 … 99, xorshift32 (Marsaglia 2003). */
function chance(): number {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  return (random >>> 0) % 100;
}

function failure(code: string, name: string): NodeJS.ErrnoException {
  const error: NodeJS.ErrnoException = new Error(`${code}: failpoint ${name}`);
  error.code = code;
  error.errno = -constants.errno[code as keyof typeof constants.errno];
  error.syscall = 'failpoint';
  return error;
}
