import * as v from 'valibot';
import type { Installable, InstallParts } from './install.ts';
import type { LayoutSource } from './layout-source.ts';
import type { Lease } from './leases.ts';
import {
  type Descriptor,
  MAX_CONFIG_BYTES,
  MAX_LAYERS,
  MAX_MANIFEST_BYTES,
  MediaType,
  parseJson,
} from './manifest.ts';
import { once } from './pull.ts';
import { formatReference, parseReference } from './reference.ts';

const schema = v.array(
  v.object({
    Config: v.string(),
    RepoTags: v.nullish(v.array(v.string()), []),
    Layers: v.nullish(v.pipe(v.array(v.string()), v.maxLength(MAX_LAYERS)), []),
  }),
);

/**
 * The images of a `docker save` archive as Docker wrote it before version 25: manifest.json names
 * a configuration and layer tars by path. Layers carry no digest there, so they are stored first;
 * the diff ids in the configuration are what they are checked against when they are unpacked.
 */
export async function readDockerArchive(
  parts: InstallParts,
  source: LayoutSource,
  lease: Lease,
  signal: AbortSignal,
): Promise<Installable[]> {
  const manifest = await source.read('manifest.json', MAX_MANIFEST_BYTES);
  const images: Installable[] = [];
  for (const image of parseJson(schema, manifest, `${source.path}: manifest.json`)) {
    const tags = image.RepoTags.map((tag) => formatReference(parseReference(tag)));
    const what = `${tags[0] ?? image.Config} in ${source.path}`;
    const bytes = await source.read(image.Config, MAX_CONFIG_BYTES);
    const config = await store(parts, lease, once(bytes), `configuration of ${what}`, signal);
    const layers: Descriptor[] = [];
    for (const name of image.Layers) {
      layers.push(await store(parts, lease, source.stream(name), `${name} of ${what}`, signal));
    }
    const manifestBytes = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MediaType.ociManifest,
        config: { ...config, mediaType: MediaType.ociConfig },
        layers: layers.map((layer) => ({ ...layer, mediaType: MediaType.ociLayer })),
      }),
    );
    const document = await store(parts, lease, once(manifestBytes), `manifest of ${what}`, signal);
    images.push({
      manifest: { kind: 'manifest', config, layers },
      manifestSize: manifestBytes.length,
      documents: [document.digest],
      tags,
      // No registry has ever given this manifest a digest.
      digests: [],
      what,
      fetch: () => Promise.reject(new Error('every blob of an archive is stored before')),
    });
  }
  return images;
}

async function store(
  parts: InstallParts,
  lease: Lease,
  bytes: AsyncIterable<Uint8Array>,
  what: string,
  signal: AbortSignal,
): Promise<Descriptor> {
  const { digest, size } = await parts.content.ingest(
    bytes,
    { what },
    {
      signal,
      beforeCommit: async (found) => {
        lease.add(found);
        await parts.collector.idle();
      },
    },
  );
  return { mediaType: '', digest, size };
}
