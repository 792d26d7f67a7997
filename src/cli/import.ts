import { resolve } from 'node:path';
import type { Command } from 'commander';
import { type Flags, loadSettings } from './config.ts';

import { withSettings } from './options.ts';
import { withImages } from './with-images.ts';

export function registerImport(program: Command): void {
  withSettings(program.command('import <path>'))
    .description('import an OCI layout or a `docker save` archive; prints the names')
    .option('--tag <name>', 'name for the image, in place of those in the archive')
    .action(async (path: string, flags: Flags & { tag?: string }) => {
      const names = await withImages(loadSettings(flags), (images) =>
        images.import(resolve(path), flags.tag),
      );
      process.stdout.write(names.map((name) => `${name}\n`).join(''));
    });
}
