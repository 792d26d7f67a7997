import type { Command } from 'commander';
import { notFound } from '../errors.ts';
import { type Flags, loadSettings } from './config.ts';
import { withImages } from './image-backend.ts';
import { withSettings } from './options.ts';

export function registerRmi(program: Command): void {
  withSettings(program.command('rmi <image>'))
    .description('remove an image with all its names')
    .action(async (image: string, flags: Flags) => {
      const found = await withImages(loadSettings(flags), (images) => images.remove(image));
      if (!found) throw notFound('image', image);
    });
}
