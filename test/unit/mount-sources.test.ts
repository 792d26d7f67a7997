import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mountOf } from '../../src/runtime/mount-sources.ts';

const TABLE = String.raw`21 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 21 0:25 / /srv rw shared:7 - tmpfs tmpfs rw
31 30 0:26 / /srv/a rw master:7 - tmpfs tmpfs rw
32 30 0:27 / /srv/with\040blank rw shared:9 master:7 - tmpfs tmpfs rw
33 30 0:28 / /srv/top rw shared:8 - tmpfs tmpfs rw
34 33 0:29 / /srv/top rw - tmpfs tmpfs rw
`;

describe('the mount that a path is on', () => {
  const cases: [string, string, boolean, boolean][] = [
    ['/', '/', false, false],
    ['/srvx/y', '/', false, false],
    ['/srv', '/srv', true, false],
    ['/srv/x/y', '/srv', true, false],
    ['/srv/a/deep', '/srv/a', false, true],
    ['/srv/with blank', '/srv/with blank', true, true],
    ['/srv/top/x', '/srv/top', false, false],
  ];
  for (const [path, point, shared, slave] of cases) {
    it(`should be ${point} for ${path}`, () => {
      assert.deepEqual(mountOf(TABLE, path), { point, shared, slave });
    });
  }
});
