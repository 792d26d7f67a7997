import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';

/**
 * How often the event loop's timer is looked at, ms: of turns that are shorter, only some are seen.
 * Each look wakes a process that has nothing to do.
 */
const RESOLUTION_MS = 100;
const QUANTILES = [0.5, 0.9, 0.99] as const;

/** Adds what this process itself takes. Returns a function that ends the measuring. */
export function addProcessMetrics(metrics: Metrics): () => void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  // What is recorded is the time between two looks.
  const late = (ns: number) => Math.max(0, ns / 1e9 - RESOLUTION_MS / 1000);
  metrics.read(
    'gauge',
    'coracle_event_loop_delay_seconds',
    'How late the event loop came to its timers since this was last read; quantile 1 is the worst.',
    () => {
      if (delay.count === 0) return [];
      const samples = [
        ...QUANTILES.map((q) => [late(delay.percentile(q * 100)), { quantile: `${q}` }] as const),
        [late(delay.max), { quantile: '1' }] as const,
      ];
      delay.reset();
      return samples;
    },
  );
  metrics.read(
    'gauge',
    'process_resident_memory_bytes',
    'Memory of this process that is resident.',
    () => process.memoryUsage.rss(),
  );
  metrics.read('gauge', 'nodejs_heap_used_bytes', 'JavaScript heap in use.', () => {
    return process.memoryUsage().heapUsed;
  });
  metrics.read('counter', 'process_cpu_seconds_total', 'CPU time that this process used.', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  const started = Date.now() / 1000 - process.uptime();
  metrics.read(
    'gauge',
    'process_start_time_seconds',
    'When this process was started, Unix time.',
    () => started,
  );
  return () => delay.disable();
}
