import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Digest } from '../../src/image/digest.ts';
import type { ImageRecord } from '../../src/image/image-store.ts';
import { filterImages } from '../../src/image/lookup.ts';

const digest = (hex: string) => `sha256:${hex.padEnd(64, '0')}` as Digest;

function image(id: string, tags: string[], digests: string[] = []): ImageRecord {
  return { id: digest(id), tags, digests } as unknown as ImageRecord;
}

const IMAGES = [
  image('aa1', ['docker.io/library/busybox:1', 'docker.io/library/busybox:latest']),
  image('aa2', ['docker.io/library/busybox:2'], [`quay.io/team/tool@${digest('d')}`]),
  image('b', ['quay.io/team/tool:2', 'quay.io:443/busybox/deep:1']),
];

const cases: [string, string[]][] = [
  ['busybox', ['aa1', 'aa2']],
  ['docker.io/library/busybox', ['aa1', 'aa2']],
  ['busybox:latest', ['aa1']],
  ['busybox:3', []],
  ['quay.io/team/tool', ['aa2', 'b']],
  [`quay.io/team/tool@${digest('d')}`, ['aa2']],
  // The id under the repository's name, as kubelet writes it.
  [`quay.io/team/tool@${digest('b')}`, ['b']],
  [`quay.io/team/tool@${digest('c')}`, []],
  ['quay.io:443/busybox/deep', ['b']],
  ['quay.io/team', []],
  [digest('aa2'), ['aa2']],
  [digest('aa2').slice('sha256:'.length), ['aa2']],
  ['aa', ['aa1', 'aa2']],
  ['sha256:aa', ['aa1', 'aa2']],
  ['b', ['b']],
  ['NO/Reference', []],
];

for (const [text, expected] of cases) {
  test(`a filter for ${text.slice(0, 40)} finds ${expected.join(' and ') || 'nothing'}`, () => {
    assert.deepEqual(
      filterImages(IMAGES, text).map(({ id }) => id),
      expected.map(digest),
    );
  });
}
