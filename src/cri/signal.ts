import { invalid } from '../errors.ts';
import { Signal } from './gen/cri.ts';

/** Names that are another signal's second name on Linux (signal(7)). */
const SYNONYMS: Readonly<Record<string, string>> = {
  SIGCLD: 'SIGCHLD',
  SIGIOT: 'SIGABRT',
  SIGPOLL: 'SIGIO',
};

/** "SIGTERM", "SIGRTMIN+3", "SIGRTMAX-14"; undefined for the default. */
export function signalFromCri(field: string, signal: Signal): string | undefined {
  if (signal === Signal.SIGNAL_RUNTIME_DEFAULT) return undefined;
  const name = Signal[signal];
  if (name === undefined || signal === Signal.UNRECOGNIZED) {
    throw invalid(field, signal, 'is not a signal of CRI v1');
  }
  const plain = name
    .slice('SIGNAL_'.length)
    .replace(/PLUS(\d+)$/, '+$1')
    .replace(/MINUS(\d+)$/, '-$1');
  return SYNONYMS[plain] ?? plain;
}

/** The other way: what has no name in CRI, as a plain number in an image, is the default. */
export function signalToCri(name: string): Signal {
  const upper = name.toUpperCase();
  const long = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  const key = `SIGNAL_${long.replace('+', 'PLUS').replace('-', 'MINUS')}`;
  return key in Signal ? Signal[key as keyof typeof Signal] : Signal.SIGNAL_RUNTIME_DEFAULT;
}
