/**
 * For a run of cri-tools' validation suite against a server: a registry on the loopback interface
 * with the suite's images, and the hosts.toml files that lead the suite's names to it.
 *
 *     npm run critest-images -- DIRECTORY
 *
 * Downloads Debian packages into the directory on the first run. Serves until it is interrupted.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  IMAGE_SPEC_IMAGES,
  mirrorCritestRegistries,
  OTHER_IMAGES,
  pushCritestImages,
} from '../helpers/critest-images.ts';
import { startRegistry } from '../helpers/registry.ts';

const [given] = process.argv.slice(2);
if (given === undefined) {
  console.error('usage: npm run critest-images -- DIRECTORY');
  process.exit(2);
}
const directory = resolve(given);
const registry = await startRegistry(join(directory, 'registry'));
// In this order: the others have a fuller image under one of the names.
await pushCritestImages(registry.url, directory, [...IMAGE_SPEC_IMAGES, ...OTHER_IMAGES]);
const mirrors = join(directory, 'certs.d');
mirrorCritestRegistries(mirrors, registry.url);

const layout = join(directory, 'layouts/k8s-staging-cri-tools-test-image-digest/latest/index.json');
const [manifest] = JSON.parse(readFileSync(layout, 'utf8')).manifests;
console.log(`registry-config-dir = "${mirrors}"`);
console.log(`# test-image-digest, which the suite names by another digest: ${manifest.digest}`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, async () => {
    await registry[Symbol.asyncDispose]();
    process.exit(0);
  });
}
