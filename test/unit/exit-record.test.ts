import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, test } from 'node:test';
import { armFailpoints, failpointHits } from '../../src/failpoint.ts';
import { readExitRecord } from '../../src/runtime/exit-record.ts';

const dir = mkdtempSync(join(tmpdir(), 'coracle-exits-'));
after(() => rmSync(dir, { recursive: true }));
afterEach(() => armFailpoints(''));

/** As native/plan/exit_record.h has it. */
function record(waitStatus: number): Buffer {
  const bytes = Buffer.alloc(48);
  bytes.writeUInt32LE(0x54495845, 0);
  bytes.writeUInt32LE(1, 4);
  bytes.writeInt32LE(waitStatus, 8);
  bytes.writeUInt32LE(4711, 12);
  const sum = bytes.subarray(0, 44).reduce((all, byte, place) => all + byte * (place + 1), 0);
  bytes.writeUInt32LE(sum, 44);
  return bytes;
}

writeFileSync(join(dir, 'exited'), record(9 << 8));
writeFileSync(join(dir, 'killed'), record(15));
writeFileSync(join(dir, 'damaged'), record(9 << 8).fill(7, 12, 13));
writeFileSync(join(dir, '.unnamed.new'), record(3 << 8));
writeFileSync(join(dir, 'short'), record(9 << 8).subarray(0, 47));

test('a record tells how a container ended, and a damaged or a missing one nothing', async () => {
  assert.equal((await readExitRecord(dir, 'exited'))?.exitCode, 9);
  assert.equal((await readExitRecord(dir, 'exited'))?.pid, 4711);
  assert.equal((await readExitRecord(dir, 'killed'))?.exitCode, 128 + 15);
  assert.equal((await readExitRecord(dir, 'unnamed'))?.exitCode, 3);
  for (const id of ['damaged', 'short', 'missing']) {
    assert.equal(await readExitRecord(dir, id), undefined, id);
  }
});

test('G-10: a record that cannot be read for a moment is not taken for none', async () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'EINTR']) {
    armFailpoints(`exit-record.read=${code}@1x3`);
    assert.equal((await readExitRecord(dir, 'exited'))?.exitCode, 9, code);
    assert.equal(failpointHits().get('exit-record.read'), 4);
  }
  armFailpoints('exit-record.read=EACCES');
  assert.equal(await readExitRecord(dir, 'exited'), undefined);
});
