import type { Command } from 'commander';
import { type Flags, loadSettings } from './config.ts';
import { withImages } from './image-backend.ts';
import { withSettings } from './options.ts';

export function registerPull(program: Command): void {
  withSettings(program.command('pull <image>'))
    .description('pull an image from its registry; prints its id')
    .action(async (image: string, flags: Flags) => {
      const id = await withImages(loadSettings(flags), (images) => images.pull(image));
      process.stdout.write(`${id}\n`);
    });
}
