import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Benchmark } from '../benchmark.ts';
import type { Host } from '../hosts/host.ts';
import { OURS, rowsOf } from '../outcome.ts';
import { addTo, interleave, type SeriesMap, summarise } from '../stats.ts';

const EMBEDDER = fileURLToPath(new URL('../hosts/embedder.ts', import.meta.url));

/** Launches a second. */
const RATE = 100;
const SPAWN = 'child_process.spawn of /bin/true';
const KINDS = [
  [OURS, 'launch'],
  [SPAWN, 'spawn'],
] as const;
const ADDED = 'delay added, p99';

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
    const rounds = { full: 3, quick: 1, smallest: 1 }[size];
    const seconds = { full: 7, quick: 4, smallest: 0.3 }[size];
    const megabytes = { full: 1000, quick: 1000, smallest: 50 }[size];
    const series: SeriesMap = new Map();
    const notes: string[] = [];
    const contestants = KINDS.map(([name, kind]) => ({
      name,
      once: async () => {
        const found = await embedder(host, kind, seconds, megabytes);
        const [failure] = found.failures;
        if (found.launches === 0) throw new Error(`${name}: ${failure}`);
        if (failure) notes.push(`${name}: ${found.failures.length} launches failed: ${failure}.`);
        for (const ms of found.quiet) addTo(series, name, { 'delay, quiet': ms });
        for (const ms of found.launching) addTo(series, name, { 'delay, launching': ms });
        const added = summarise(found.launching).p99 - summarise(found.quiet).p99;
        addTo(series, name, { [ADDED]: Math.max(0, added) });
        return { launches: found.rate };
      },
    }));
    const rates = await interleave(contestants, rounds, 0);
    return {
      rows: [
        ...rowsOf(series, 'ms'),
        ...rowsOf(rates, 'a second').map((each) => ({ ...each, moreIsBetter: true })),
      ],
      charts: [{ kind: 'bars', title: 'Delay added by launches, p99', unit: 'ms', whats: [ADDED] }],
      notes: [`${megabytes} MB; ${rounds} × ${seconds} s each, quiet and launching.`, ...notes],
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
