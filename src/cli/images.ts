import type { Command } from 'commander';
import { type Flags, loadSettings } from './config.ts';
import { type ListedImage, withImages } from './image-backend.ts';
import { withSettings } from './options.ts';
import { bytes, table } from './table.ts';

export function registerImages(program: Command): void {
  withSettings(program.command('images'))
    .description('list the images that are here')
    .action(async (flags: Flags) => {
      const images = await withImages(loadSettings(flags), (backend) => backend.list());
      process.stdout.write(imageTable(images));
    });
}

/** One line for each name of each image; an image without a name has one, too. */
export function imageTable(images: readonly ListedImage[]): string {
  const rows = images.flatMap(({ id, repoTags, size }) => {
    const names = repoTags.length > 0 ? repoTags : ['<none>'];
    return names.map((name) => [name, id.replace(/^sha256:/, '').slice(0, 12), bytes(size)]);
  });
  rows.sort(([a = ''], [b = '']) => a.localeCompare(b));
  return table([['IMAGE', 'ID', 'SIZE'], ...rows]);
}
