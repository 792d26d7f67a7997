import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { getEventListeners } from 'node:events';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { addon, isNativeError } from '../../src/native/addon.ts';
import type { ApplyLayerOptions } from '../../src/native/types.ts';
import { ADDON_FILE, nodeChild } from '../helpers/node-child.ts';

/** Zstandard frames of 64 KiB of zeros each, as run-length blocks (RFC 8878, 3.1.1.2). */
function zeroFrames(count: number): Buffer {
  const header = [0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0x00, 0x00, 0x01, 0x00];
  const block = 1 | (1 << 1) | (65536 << 3);
  const frame = [...header, block & 0xff, (block >> 8) & 0xff, block >> 16, 0];
  return Buffer.concat(Array.from({ length: count }, () => Buffer.from(frame)));
}

describe('applyLayer, as bound', { skip: process.getuid?.() === 0 ? false : 'needs root' }, () => {
  let dir: string;
  let big: string;
  let count = 0;
  let options: ApplyLayerOptions;

  before(() => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'coracle-layer-'));
    fs.mkdirSync(path.join(dir, 'in'));
    fs.writeFileSync(path.join(dir, 'in/file'), 'content');
    execFileSync('tar', ['-cf', path.join(dir, 'layer.tar'), '-C', path.join(dir, 'in'), 'file']);
    big = path.join(dir, 'big.tar');
    fs.writeFileSync(path.join(dir, 'in/zeros'), '');
    fs.truncateSync(path.join(dir, 'in/zeros'), 256 << 20);
    execFileSync('tar', ['-cf', big, '-C', path.join(dir, 'in'), 'zeros']);
  });
  after(() => fs.rmSync(dir, { recursive: true, force: true }));
  beforeEach(() => {
    const work = path.join(dir, `work${++count}`);
    const target = path.join(dir, `target${count}`);
    fs.mkdirSync(work);
    fs.mkdirSync(target);
    options = {
      blob: path.join(dir, 'layer.tar'),
      compression: 'none',
      target,
      parents: [],
      work,
      maxBytes: 1n << 30n,
      maxEntries: 1000,
    };
  });

  it('should return digests and sizes', async () => {
    const controller = new AbortController();
    const result = await addon.applyLayer(options, controller.signal);
    const digest = createHash('sha256').update(fs.readFileSync(options.blob)).digest('hex');
    const du = execFileSync('du', ['-s', '--block-size=1', options.target], { encoding: 'utf8' });
    assert.deepEqual([result.digest, result.diffId], [digest, digest]);
    assert.equal(result.size, BigInt(Number.parseInt(du, 10)));
    assert.equal(fs.readFileSync(path.join(options.target, 'file'), 'utf8'), 'content');
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });

  it('should stop when its signal fires, before or meanwhile', async () => {
    await assert.rejects(addon.applyLayer(options, AbortSignal.abort()), { code: 'ECANCELED' });
    const controller = new AbortController();
    const running = addon.applyLayer({ ...options, blob: big }, controller.signal);
    setTimeout(() => controller.abort(), 20);
    await assert.rejects(running, { code: 'ECANCELED' });
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });

  it('should leave the thread pool to others meanwhile', async () => {
    const layers = Array.from({ length: 6 }, async (_, i) => {
      const target = path.join(options.target, `${i}`);
      fs.mkdirSync(target);
      await addon.applyLayer({ ...options, blob: big, target });
      return 'layer';
    });
    const first = await Promise.race([...layers, addon.runFileOps([]).then(() => 'file')]);
    assert.equal(first, 'file');
    await Promise.all(layers);
  });

  it('should name a wrong field and a missing blob', async () => {
    await assert.rejects(addon.applyLayer({ ...options, compression: 'xz' as never }), {
      name: 'TypeError',
      message: "options.compression must be 'none', 'gzip' or 'zstd'",
    });
    await assert.rejects(addon.applyLayer({ ...options, blob: '/no/blob' }), (error) => {
      assert.ok(isNativeError(error));
      assert.deepEqual([error.code, error.path], ['ENOENT', '/no/blob']);
      return true;
    });
  });

  it('should write a compressed file out plain, or leave none', async () => {
    const blob = path.join(dir, 'big.zst');
    fs.writeFileSync(blob, zeroFrames(64));
    const source = { blob, compression: 'zstd' as const, target: path.join(dir, 'plain') };
    await assert.rejects(addon.decompressFile({ ...source, maxBytes: 1n << 20n }), {
      code: 'EFBIG',
      path: blob,
    });
    const limits = { maxBytes: 1n << 30n };
    await assert.rejects(addon.decompressFile({ ...source, ...limits }, AbortSignal.abort()), {
      code: 'ECANCELED',
    });
    assert.equal(fs.existsSync(source.target), false);
    await addon.decompressFile({ ...source, ...limits });
    assert.equal(fs.statSync(source.target).size, 64 * 65536);
    await assert.rejects(addon.decompressFile({ ...source, ...limits }), { code: 'EEXIST' });
  });

  it('should be cut short by the end of its worker thread', async () => {
    const code = `
      const { Worker } = require('node:worker_threads');
      const inWorker = \`
        const { parentPort, workerData } = require('node:worker_threads');
        require(${JSON.stringify(ADDON_FILE)}).applyLayer(
          { ...workerData, maxBytes: 1n << 30n });
        parentPort.postMessage('running');\`;
      const workerData = ${JSON.stringify({ ...options, blob: big, maxBytes: 0 })};
      const worker = new Worker(inWorker, { eval: true, workerData });
      worker.once('message', async () => { await worker.terminate(); console.log('ended'); });`;
    const result = await nodeChild(code);
    assert.deepEqual([result.exitCode, result.stdout], [0, 'ended\n'], result.stderr);
  });
});
