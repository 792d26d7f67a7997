import { resolve } from 'node:path';
import type { Command } from 'commander';
import { createLogger } from '../observe/logger.ts';
import { type Flags, loadSettings } from './config.ts';
import { withSettings } from './options.ts';

/** CRI has no import, so this needs the root directory for itself: no server may have it open. */
export function registerImport(program: Command): void {
  withSettings(program.command('import <path>'))
    .description('import an OCI layout or a `docker save` archive; prints the names')
    .option('--tag <name>', 'name for the image, in place of those in the archive')
    .action(async (path: string, flags: Flags & { tag?: string }) => {
      const settings = loadSettings(flags);
      const { closeRuntime, openRuntime } = await import('../runtime/open.ts');
      const ctx = await openRuntime(settings.runtime, createLogger(settings.logLevel));
      try {
        const options = flags.tag === undefined ? {} : { tag: flags.tag };
        const names = await ctx.images.import(resolve(path), options);
        process.stdout.write(names.map((name) => `${name}\n`).join(''));
      } finally {
        await closeRuntime(ctx);
      }
    });
}
