import type { Command } from 'commander';
import { messageOf } from '../errors.ts';
import { complain } from './complain.ts';
import { type Flags, loadSettings } from './config.ts';
import { type ImageBackend, namesOf } from './image-backend.ts';
import { withSettings } from './options.ts';
import { withImages } from './with-images.ts';

export function registerRmi(program: Command): void {
  withSettings(program.command('rmi <image...>'))
    .description('remove images with all their names; prints the names')
    .option('-f, --force', 'an image that is not there is no error', false)
    .action(async (names: string[], flags: Flags & { force: boolean }) => {
      const all = await withImages(loadSettings(flags), (images) =>
        removeAll(images, names, flags.force),
      );
      if (!all) process.exitCode = 1;
    });
}

/**
 * Removes every image that can be, and complains about the others; false if there were any. All
 * are looked up first, since two of the names may be the same image's.
 */
async function removeAll(
  images: ImageBackend,
  names: readonly string[],
  force: boolean,
): Promise<boolean> {
  const found = new Map<string, readonly string[]>();
  let ok = true;
  const attempt = async (name: string, work: () => Promise<void>) => {
    await work().catch((error: unknown) => {
      complain(`${name}: ${messageOf(error)}`);
      ok = false;
    });
  };
  for (const name of names) {
    await attempt(name, async () => {
      const image = await images.find(name);
      if (image) found.set(image.id, namesOf(image));
      else if (!force) {
        complain(`image ${JSON.stringify(name)} not found`);
        ok = false;
      }
    });
  }
  for (const [id, itsNames] of found) {
    await attempt(itsNames[0] ?? id, async () => {
      await images.remove(id);
      for (const name of itsNames) process.stdout.write(`${name}\n`);
    });
  }
  return ok;
}
