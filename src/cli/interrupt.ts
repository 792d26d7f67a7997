import { constants } from 'node:os';
import { CoracleError } from '../errors.ts';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Interrupt extends Disposable {
  readonly signal: AbortSignal;
  /** What a shell takes for "ended by this signal", once one has come. */
  exitCode(): number | undefined;
}

/**
 * Turns the first ^C, SIGTERM or SIGHUP into an abort, so that what is under way is cleaned up; the
 * second one ends the process at once.
 */
export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  let caught: NodeJS.Signals | undefined;
  const release = () => {
    for (const name of SIGNALS) process.off(name, abort);
  };
  const abort = (name: NodeJS.Signals) => {
    release();
    caught = name;
    controller.abort(new CoracleError('Cancelled', 'interrupted'));
  };
  for (const name of SIGNALS) process.on(name, abort);
  return {
    signal: controller.signal,
    exitCode: () => (caught === undefined ? undefined : 128 + constants.signals[caught]),
    [Symbol.dispose]: release,
  };
}
