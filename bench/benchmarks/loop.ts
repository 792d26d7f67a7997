import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Benchmark } from '../benchmark.ts';
import type { Host } from '../hosts/host.ts';
import { OURS, type Row, row } from '../outcome.ts';

const EMBEDDER = fileURLToPath(new URL('../hosts/embedder.ts', import.meta.url));

/** Launches a second. */
const RATE = 100;
const SPAWN = 'child_process.spawn of /bin/true';

/** What hosts/embedder.ts prints, ms. */
export interface LoopDelays {
  quiet: number[];
  launching: number[];
  /** How many launches succeeded, and why others did not. */
  launches: number;
  failures: string[];
  /** Launches a second. */
  rate: number;
}

export const loop: Benchmark = {
  name: 'loop',
  title: 'Event loop of an embedding process',
  about:
    'How late the event loop of a process of 1 GB comes to a timer of 1 ms, with nothing to do and ' +
    `while it launches ${RATE} containers a second, each to its end and removal. "${SPAWN}" is what ` +
    'Node.js itself does to start a program, which wrappers of command-line tools do for each call.',
  run: async ({ host, size }) => {
    const seconds = { full: 20, quick: 4, smallest: 0.3 }[size];
    const megabytes = { full: 1000, quick: 1000, smallest: 50 }[size];
    const rows: Row[] = [];
    const notes: string[] = [];
    for (const [who, kind] of [
      [OURS, 'launch'],
      [SPAWN, 'spawn'],
    ] as const) {
      const found = await embedder(host, kind, seconds, megabytes);
      const p99 = (values: number[]) =>
        [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.99)] ?? 0;
      rows.push(
        row(who, 'delay, quiet', 'ms', ...found.quiet),
        row(who, 'delay, launching', 'ms', ...found.launching),
        row(who, 'delay added, p99', 'ms', Math.max(0, p99(found.launching) - p99(found.quiet))),
      );
      if (found.launches === 0) throw new Error(`${who}: ${found.failures[0]}`);
      const [failure] = found.failures;
      if (failure) notes.push(`${who}: ${found.failures.length} launches failed: ${failure}.`);
      notes.push(`${who}: ${found.launches} launches, ${found.rate.toFixed(0)} a second.`);
    }
    return {
      rows,
      charts: [
        {
          kind: 'bars',
          title: 'Delay added by launches, p99',
          unit: 'ms',
          whats: ['delay added, p99'],
        },
      ],
      notes: [`${megabytes} MB; ${seconds} s each.`, ...notes],
    };
  },
};

async function embedder(
  host: Host,
  kind: 'launch' | 'spawn',
  seconds: number,
  megabytes: number,
): Promise<LoopDelays> {
  const given = [kind, host.scratch('embedder'), host.layout, seconds, megabytes, RATE].map(String);
  const child = spawn(process.execPath, ['--import', 'tsx', EMBEDDER, ...given], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`the embedding process ended with ${code}`);
  return JSON.parse(text) as LoopDelays;
}
