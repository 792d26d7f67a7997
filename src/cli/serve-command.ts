import type { Command } from 'commander';
import { createLogger, type Logger } from '../observe/logger.ts';
import { type Flags, loadSettings } from './config.ts';
import { withSettings } from './options.ts';

export function registerServe(program: Command): void {
  withSettings(program.command('serve'))
    .description('serve the Kubernetes Container Runtime Interface')
    .action(async (flags: Flags) => {
      const settings = loadSettings(flags);
      const log = createLogger(settings.logLevel);
      const stopped = stopSignal(log);
      const { serve } = await import('./serve.ts');
      await serve(settings, log, stopped);
    });
}

/** Resolves at the first SIGTERM or SIGINT; a second one ends the process at once. */
function stopSignal(log: Logger): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (stopping) process.exit(1);
        stopping = true;
        log.info({ signal }, 'stopping');
        resolve();
      });
    }
  });
}
