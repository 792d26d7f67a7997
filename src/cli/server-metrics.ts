import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Called } from '../cri/call-scope.ts';
import { Metrics, type Sample } from '../observe/metrics.ts';
import { VERSION } from '../observe/version.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { stateOf } from '../store/container-status.ts';

/** What a server tells of itself. */
export interface ServerMetrics {
  readonly metrics: Metrics;
  /** To be told of every call that is over. */
  readonly called: Called;
}

/** `runtime` gives what is served, or nothing while it is not open. */
export function serverMetrics(runtime: () => RuntimeContext | undefined): ServerMetrics {
  const metrics = new Metrics();
  metrics.read(
    'gauge',
    'coracle_build_info',
    'Always 1; the labels say which build this is.',
    () => [[1, { version: VERSION, node: process.version }]],
  );
  const calls = metrics.counter('coracle_rpcs_total', 'Calls that are over, by their status.');
  const durations = metrics.histogram(
    'coracle_rpc_duration_seconds',
    'How long calls took, streams from their first to their last message.',
  );
  metrics.readHistogram(
    'coracle_launch_phase_seconds',
    'What the parts of launches took, of containers and of commands in them.',
    () => runtime()?.launches.histogram,
  );
  addRuntime(metrics, runtime);
  addPulls(metrics, runtime);
  return {
    metrics,
    called: (method, code, seconds) => {
      calls.add(1, { method, code });
      durations.observe(seconds, { method });
    },
  };
}

function addRuntime(metrics: Metrics, runtime: () => RuntimeContext | undefined): void {
  metrics.read('gauge', 'coracle_ready', '1 once the state is recovered.', () =>
    runtime()?.ready ? 1 : 0,
  );
  metrics.read('gauge', 'coracle_pods', 'Pods, by state.', () =>
    byState(runtime()?.sandboxes.list() ?? [], ['ready', 'notready'], (sandbox) => sandbox.state),
  );
  metrics.read('gauge', 'coracle_containers', 'Containers, by state.', () =>
    byState(
      runtime()?.containers.list() ?? [],
      ['created', 'running', 'exited', 'unknown'],
      ({ status }) => stateOf(status.get()),
    ),
  );
  metrics.read(
    'gauge',
    'coracle_monitors',
    'Monitors that this server is connected to, one for each pod that is there.',
    () => runtime()?.monitors.size ?? 0,
  );
  metrics.read(
    'gauge',
    'coracle_unwritten_records',
    'Records that the disk has yet to take: 0 unless it is full or failing.',
    () => (runtime()?.sandboxes.dirty ?? 0) + (runtime()?.containers.dirty ?? 0),
  );
  metrics.read(
    'gauge',
    'coracle_store_bytes',
    'Files of the records, the journal included.',
    () => {
      const ctx = runtime();
      return ctx === undefined ? [] : fileSizes(join(ctx.options.root, 'meta'));
    },
  );
}

function addPulls(metrics: Metrics, runtime: () => RuntimeContext | undefined): void {
  const pulls = () => runtime()?.images.metrics();
  metrics.read('gauge', 'coracle_image_pulls_in_progress', 'Pulls under way.', () => {
    return pulls()?.inProgress ?? 0;
  });
  metrics.read('counter', 'coracle_image_pulls_total', 'Pulls that are over.', () => {
    const { succeeded = 0, failed = 0, cancelled = 0 } = pulls() ?? {};
    return [
      [succeeded, { outcome: 'succeeded' }],
      [failed, { outcome: 'failed' }],
      [cancelled, { outcome: 'cancelled' }],
    ];
  });
  metrics.read(
    'counter',
    'coracle_image_pull_bytes_total',
    'Bytes of blobs that came from registries.',
    () => pulls()?.bytes ?? 0,
  );
  metrics.read(
    'counter',
    'coracle_image_pull_seconds_total',
    'Time that pulls took which are over.',
    () => pulls()?.seconds ?? 0,
  );
}

function byState<T>(
  items: readonly T[],
  states: readonly string[],
  stateOfItem: (item: T) => string,
): Sample[] {
  const counts = new Map(states.map((state) => [state, 0]));
  for (const item of items) {
    const state = stateOfItem(item);
    counts.set(state, (counts.get(state) ?? 0) + 1);
  }
  return [...counts].map(([state, count]) => [count, { state }]);
}

function fileSizes(directory: string): Sample[] {
  return readdirSync(directory).flatMap((file): Sample[] => {
    const found = statSync(join(directory, file), { throwIfNoEntry: false });
    return found?.isFile() ? [[found.size, { file }]] : [];
  });
}
