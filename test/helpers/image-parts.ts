import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CoracleError } from '../../src/errors.ts';
import { Collector } from '../../src/image/collect.ts';
import { ContentStore } from '../../src/image/content-store.ts';
import type { Digest } from '../../src/image/digest.ts';
import { digestOf } from '../../src/image/digest.ts';
import type { BlobSource } from '../../src/image/download.ts';
import { Holds } from '../../src/image/holds.ts';
import { type ImageRecord, imageMetadata } from '../../src/image/image-store.ts';
import { type ImageAddon, LayerDirectories } from '../../src/image/layers.ts';
import { Leases } from '../../src/image/leases.ts';
import { ImageRecords } from '../../src/image/records.ts';
import { MemoryStore } from '../../src/store/memory-store.ts';
import { FaultyBackend } from './store.ts';

/** One answer to a request for a blob: which part comes, and how it ends. */
export interface Answer {
  /** Where it begins; default: where it was asked for. */
  from?: number;
  /** Where it ends; default: at the end of the blob. */
  to?: number;
  /** Thrown instead of an answer, or where `to` is given after it. */
  error?: Error;
  /** Awaited before the last byte. */
  hold?: Promise<void>;
}

export const broken = () => new CoracleError('Unavailable', 'the connection broke');

/** A blob source that answers as it is told, the last answer for ever. */
export class ScriptedSource implements BlobSource {
  /** The offsets that were asked for. */
  readonly asked: number[] = [];
  readonly bytes: Buffer;
  readonly answers: Answer[];

  constructor(bytes: Buffer, ...answers: Answer[]) {
    this.bytes = bytes;
    this.answers = answers;
  }

  async blob(_digest: Digest, offset: number, signal: AbortSignal) {
    const answer = this.answers[Math.min(this.asked.length, this.answers.length - 1)] ?? {};
    this.asked.push(offset);
    const { from = offset, to, error, hold } = answer;
    if (error && to === undefined) throw error;
    const { bytes } = this;
    return {
      offset: from,
      chunks: (async function* () {
        const end = to ?? bytes.length;
        for (let at = from; at < end; at += 1000) {
          if (hold && at + 1000 >= end) await Promise.race([hold, fired(signal)]);
          signal.throwIfAborted();
          yield bytes.subarray(at, Math.min(at + 1000, end));
        }
        if (error) throw error;
      })(),
    };
  }
}

function fired(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
}

/** Stands in for the addon: a layer is one file, and trees are removed by Node. */
export class FakeNative implements ImageAddon {
  /** Awaited by every layer before it is made, by the path of its blob. */
  onApply: (blob: string) => Promise<void> = async () => {};
  onRemove: (path: string) => Promise<void> = async () => {};
  diffIds = new Map<string, string>();

  async applyLayer(options: Parameters<ImageAddon['applyLayer']>[0], signal?: AbortSignal) {
    await Promise.race([this.onApply(options.blob), ...(signal ? [fired(signal)] : [])]);
    signal?.throwIfAborted();
    const digest = options.blob.split('/').at(-1) ?? '';
    await writeFile(join(options.target, 'file'), digest);
    return { digest, diffId: this.diffIds.get(digest) ?? digest, size: 4096n, entries: 2 };
  }

  async runFileOps(ops: Parameters<ImageAddon['runFileOps']>[0]): Promise<void> {
    for (const op of ops) {
      if (op.op !== 'removeTree') throw new Error(`no ${op.op} here`);
      await this.onRemove(op.path);
      await rm(op.path, { recursive: true, force: true });
    }
  }
}

/** The parts of an image service over `root`, with records in memory. */
export async function imageParts(root: string, native = new FakeNative()) {
  await mkdir(root, { recursive: true });
  const problems: unknown[] = [];
  const onProblem = (error: unknown) => problems.push(error);
  const backend = new FaultyBackend();
  const metadata = imageMetadata(new MemoryStore(backend));
  const content = await ContentStore.open(root);
  const layers = await LayerDirectories.open(root, metadata, native, onProblem);
  const records = new ImageRecords(metadata);
  const leases = new Leases();
  const holds = new Holds();
  const collector = new Collector({ content, layers, records, leases, holds, onProblem });
  return {
    backend,
    metadata,
    content,
    layers,
    records,
    leases,
    holds,
    collector,
    native,
    problems,
  };
}

/** Stores text as a blob. */
export async function putBlob(content: ContentStore, text: string): Promise<Digest> {
  const source = (async function* () {
    yield Buffer.from(text);
  })();
  return (await content.ingest(source, { what: text })).digest;
}

/** A record whose id comes from its name. */
export function imageRecord(name: string, fields: Partial<ImageRecord> = {}): ImageRecord {
  return {
    id: digestOf(name),
    tags: [`docker.io/library/${name}:latest`],
    digests: [`docker.io/library/${name}@${digestOf(`manifest of ${name}`)}`],
    blobs: [],
    chain: [],
    size: 1,
    config: {
      user: '',
      env: [],
      entrypoint: [],
      cmd: [],
      workingDir: '',
      volumes: [],
      stopSignal: '',
      labels: {},
    },
    architecture: 'amd64',
    os: 'linux',
    pulledAt: 0,
    removed: false,
    ...fields,
  };
}
