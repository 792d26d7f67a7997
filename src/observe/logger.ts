import { destination, type LevelWithSilent, type Logger, pino } from 'pino';
import { printable } from './printable.ts';

export type { Logger };

/** The values of `--log-level`, loudest first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/**
 * A logger that writes JSON lines to standard error, which stays apart from a command's output.
 *
 * Writes are synchronous: the last lines before a crash are the ones that matter, and the rate is
 * a few lines a second unless someone debugs.
 */
export function createLogger(level: LevelWithSilent): Logger {
  const sink = destination({ fd: 2, sync: true });
  return pino(
    {
      name: 'coracle',
      level,
      // The process id and host name that pino adds are known to whoever collects the log.
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    // JSON spells out C0 only, and who reads a log does so in a terminal.
    { write: (line: string) => sink.write(printable(line)) },
  );
}
