import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Backend, Change } from '../../src/store/backend.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import type { ContainerRecord, SandboxRecord } from '../../src/store/types.ts';

/** A directory that goes with the test. */
export function scratch(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'coracle-store-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

export function diskFull(): Error {
  return Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
}

/** A backend in memory that fails, or waits, when told to. */
export class FaultyBackend implements Backend {
  readonly entries = new Map<string, Buffer>();
  commits = 0;
  failCommit: (() => Error | undefined) | undefined;
  failFlush: (() => Error | undefined) | undefined;
  /** Awaited by every commit before it is applied. */
  gate: Promise<void> = Promise.resolve();

  load(prefix: string): Iterable<[string, Buffer]> {
    return [...this.entries].filter(([key]) => key.startsWith(prefix));
  }

  async commit(changes: readonly Change[]): Promise<void> {
    await this.gate;
    const error = this.failCommit?.();
    if (error !== undefined) throw error;
    this.commits += 1;
    for (const { key, value } of changes) {
      if (value === undefined) this.entries.delete(key);
      else this.entries.set(key, value);
    }
  }

  async flushed(): Promise<void> {
    const error = this.failFlush?.();
    if (error !== undefined) throw error;
  }

  async close(): Promise<void> {}
}

export function faultyStore(): { backend: FaultyBackend; store: MemoryStore } {
  const backend = new FaultyBackend();
  return { backend, store: new MemoryStore(backend) };
}

export function containerRecord(
  id: string,
  change: Partial<ContainerRecord> = {},
): ContainerRecord {
  return {
    id,
    name: `name-${id}`,
    sandboxId: 'pod',
    config: { name: 'main', attempt: 0, image: 'busybox' },
    imageId: 'sha256:1',
    imageRef: 'busybox@sha256:1',
    createdAt: 1_700_000_000_000_000_001n,
    cgroupPath: `/coracle/${id}`,
    devices: [],
    stopSignal: 'SIGTERM',
    layers: ['layers/1'],
    spec: { ociVersion: '1.2.0', linux: {} } as ContainerRecord['spec'],
    ...change,
  };
}

export function sandboxRecord(id: string, change: Partial<SandboxRecord> = {}): SandboxRecord {
  return {
    id,
    name: `pod-${id}`,
    config: { name: 'pod', namespace: 'default', uid: 'u', attempt: 0 },
    runtimeHandler: '',
    createdAt: 1n,
    cgroupPath: `/coracle/${id}`,
    bootId: 'boot',
    network: null,
    stoppedAt: 0n,
    ...change,
  };
}
