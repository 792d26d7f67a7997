/** Host paths that a request names, where they lead to something else than it says. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { readSeccompFile } from '../../src/runtime/read-seccomp-file.ts';
import { resolveDevices } from '../../src/runtime/resolve-devices.ts';

const dir = mkdtempSync(join(tmpdir(), 'asked-'));
after(() => rmSync(dir, { recursive: true }));

function profile(path: string) {
  const security = { seccomp: { type: 'localhost' as const, path } };
  return readSeccompFile({ name: 'c', attempt: 0, image: 'i', security });
}

test('a seccomp profile is read whole', async () => {
  const path = join(dir, 'profile.json');
  writeFileSync(path, 'x'.repeat(300_000));
  assert.equal((await profile(path))?.text.length, 300_000);
});

test('a seccomp profile that is no file, or endless, is refused at once', async () => {
  const at = (name: string) => join(dir, name);
  execFileSync('mkfifo', [at('fifo')]);
  writeFileSync(at('sparse'), '');
  truncateSync(at('sparse'), 2 ** 40);
  const cases: [string, RegExp][] = [
    [at('fifo'), /is no file$/],
    ['/dev/zero', /is no file$/],
    [dir, /is no file$/],
    [at('sparse'), /has more than 4194304 bytes$/],
    [at('missing'), /cannot be read: ENOENT$/],
    [join(dir, 'profile.json', 'below'), /cannot be read: ENOTDIR$/],
  ];
  for (const [path, message] of cases) {
    await assert.rejects(profile(path), { kind: 'InvalidArgument', message });
  }
});

test('devices are looked for below a directory of devices, not of anything', async () => {
  const many = join(dir, 'many');
  mkdirSync(many);
  for (let i = 0; i < 10_001; i += 1) writeFileSync(join(many, String(i)), '');
  const asked = (hostPath: string) =>
    resolveDevices({
      name: 'c',
      attempt: 0,
      image: 'i',
      devices: [{ containerPath: '/d', hostPath, permissions: 'r' }],
    });
  await assert.rejects(asked(many), { kind: 'InvalidArgument', message: /more than 10000 files/ });
  assert.deepEqual(await asked(join(dir, '.')).catch((error) => error.kind), 'InvalidArgument');
  rmSync(many, { recursive: true });
  assert.deepEqual(await asked(dir), []);
});
