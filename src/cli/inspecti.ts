import type { Command } from 'commander';
import { notFound } from '../errors.ts';
import { printable } from '../observe/printable.ts';
import { type Flags, loadSettings } from './config.ts';
import { withSettings } from './options.ts';
import { withImages } from './with-images.ts';

export function registerInspecti(program: Command): void {
  withSettings(program.command('inspecti <image...>'))
    .description('show everything about images as JSON, an array for several')
    .action(async (names: string[], flags: Flags) => {
      const found = await withImages(loadSettings(flags), async (images) => {
        const all: unknown[] = [];
        for (const name of names) {
          const image = await images.inspect(name);
          if (!image) throw notFound('image', name);
          all.push(image);
        }
        return all;
      });
      const text = JSON.stringify(found.length > 1 ? found : found[0], null, 2);
      process.stdout.write(`${printable(text)}\n`);
    });
}
