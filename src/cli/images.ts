import type { Command } from 'commander';
import { type Flags, loadSettings } from './config.ts';
import type { ListedImage } from './image-backend.ts';
import { withSettings } from './options.ts';
import { bytes, table } from './table.ts';
import { withImages } from './with-images.ts';

interface ImagesFlags extends Flags, TableOptions {
  json?: boolean;
  quiet?: boolean;
}

export interface TableOptions {
  digests?: boolean;
  /** Ids and digests in full; commander's name for --no-trunc. */
  trunc?: boolean;
}

export function registerImages(program: Command): void {
  withSettings(program.command('images [name]'))
    .description('list the images that are here, or those of a name, a repository or an id')
    .option('--digests', 'show digests, too')
    .option('--no-trunc', 'show ids and digests in full')
    .option('-q, --quiet', 'show ids alone')
    .option('--json', 'as JSON, everything in full')
    .action(async (name: string | undefined, flags: ImagesFlags) => {
      const images = await withImages(loadSettings(flags), (backend) => backend.list(name));
      process.stdout.write(format(images, flags));
    });
}

function format(images: readonly ListedImage[], flags: ImagesFlags): string {
  if (flags.json) return `${JSON.stringify(images, null, 2)}\n`;
  if (flags.quiet) return images.map(({ id }) => `${id}\n`).join('');
  return imageTable(images, flags);
}

/** One line for each name of each image; an image without a tag has one, too. */
export function imageTable(images: readonly ListedImage[], options: TableOptions = {}): string {
  const { digests = false, trunc = true } = options;
  const short = (digest: string) => (trunc ? digest.replace(/^sha256:/, '').slice(0, 12) : digest);
  // Most hosts pin nothing, and then the column would say so on every line.
  const pins = images.some(({ pinned }) => pinned);
  const rows = images.flatMap((image) =>
    namedDigests(image).map(([name, digest]) => [
      name,
      ...(digests ? [digest === '' ? '<none>' : short(digest)] : []),
      short(image.id),
      bytes(image.size),
      ...(pins ? [image.pinned ? 'pinned' : ''] : []),
    ]),
  );
  rows.sort(([a = ''], [b = '']) => a.localeCompare(b));
  const heading = ['IMAGE', ...(digests ? ['DIGEST'] : []), 'ID', 'SIZE', ...(pins ? [''] : [])];
  return table([heading, ...rows]);
}

/** Each tag with the digest that its repository has the image under; "" where it has none. */
function namedDigests({ repoTags, repoDigests }: ListedImage): [name: string, digest: string][] {
  const digests = repoDigests.map((name) => name.split('@', 2) as [string, string]);
  const repositories = new Map(digests);
  if (repoTags.length > 0) {
    return repoTags.map((tag) => [tag, repositories.get(tag.slice(0, tag.lastIndexOf(':'))) ?? '']);
  }
  if (digests.length > 0) return digests.map(([name, digest]) => [`${name}:<none>`, digest]);
  return [['<none>', '']];
}
