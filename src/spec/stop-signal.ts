/**
 * Signal names and numbers of Linux on the architectures that use the generic table of
 * signal(7): all that are supported here.
 */
import { invalid } from '../errors.ts';

const NAMES = [
  'HUP',
  'INT',
  'QUIT',
  'ILL',
  'TRAP',
  'ABRT',
  'BUS',
  'FPE',
  'KILL',
  'USR1',
  'SEGV',
  'USR2',
  'PIPE',
  'ALRM',
  'TERM',
  'STKFLT',
  'CHLD',
  'CONT',
  'STOP',
  'TSTP',
  'TTIN',
  'TTOU',
  'URG',
  'XCPU',
  'XFSZ',
  'VTALRM',
  'PROF',
  'WINCH',
  'IO',
  'PWR',
  'SYS',
];

const SYNONYMS: Record<string, string> = { IOT: 'ABRT', CLD: 'CHLD', POLL: 'IO', UNUSED: 'SYS' };

/** The C libraries keep 32 and 33 to themselves, so SIGRTMIN is 34 to programs. */
export const SIGRTMIN = 34;
export const SIGRTMAX = 64;

export const SIGTERM = 15;
export const SIGKILL = 9;

/**
 * The number of "SIGTERM", "term", "15" or "SIGRTMIN+3".
 * Throws InvalidArgument naming `field` for anything that is no signal.
 */
export function signalNumber(text: string, field = 'stopSignal'): number {
  const bad = () => invalid(field, text, 'is not a signal: a name as "SIGTERM" or a number, 1–64');
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number < 1 || number > SIGRTMAX) throw bad();
    return number;
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (realtime !== null) {
    const base = realtime[1] === 'MIN' ? SIGRTMIN : SIGRTMAX;
    const offset = Number(realtime[3] ?? 0) * (realtime[2] === '-' ? -1 : 1);
    const number = base + offset;
    if (number < SIGRTMIN || number > SIGRTMAX) throw bad();
    return number;
  }
  const number = NAMES.indexOf(SYNONYMS[name] ?? name) + 1;
  if (number === 0) throw bad();
  return number;
}

/** "SIGTERM" for 15, "SIGRTMIN+3" for 37. */
export function signalName(number: number): string {
  const name = NAMES[number - 1];
  if (name !== undefined) return `SIG${name}`;
  if (number === SIGRTMIN) return 'SIGRTMIN';
  if (number === SIGRTMAX) return 'SIGRTMAX';
  if (number > SIGRTMIN && number < SIGRTMAX) return `SIGRTMIN+${number - SIGRTMIN}`;
  return String(number);
}
