/**
 * A program for tests to kill: pulls and removes the images that its arguments name, in turns and
 * crosswise, for ever. Arguments: root directory, names.
 */
import { openTestImages } from './image-fixture.ts';

const [root = '', ...names] = process.argv.slice(2);
const { images } = await openTestImages(root);
process.stdout.write('ready\n');
const nth = (n: number) => names[n % names.length] ?? '';
for (let round = 0; ; round += 1) {
  await Promise.all([images.pull(nth(round)), images.remove(nth(round + 1))]);
}
