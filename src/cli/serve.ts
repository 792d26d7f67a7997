import { handlers } from '../cri/handlers.ts';
import { serveCri } from '../cri/server.ts';
import { streamBackend } from '../cri/stream-backend.ts';
import type { Logger } from '../observe/logger.ts';
import { serveMetrics } from '../observe/metrics-server.ts';
import { addProcessMetrics } from '../observe/process-metrics.ts';
import { VERSION } from '../observe/version.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { closeRuntime, openRuntime } from '../runtime/open.ts';
import { isExposed, parseAddress } from '../streaming/address.ts';
import { type StreamServer, serveStreams } from '../streaming/server.ts';
import type { Settings } from './config.ts';
import { type ServerMetrics, serverMetrics } from './server-metrics.ts';

/**
 * Serves until `stopped` resolves; containers go on. The socket is there first: a server that
 * answers on it is found before anything is touched, and clients are told to try again until the
 * state has been recovered.
 */
export async function serve(
  settings: Settings,
  log: Logger,
  stopped: Promise<unknown>,
): Promise<void> {
  log.info({ version: VERSION, settings }, 'starting');
  let runtime: RuntimeContext | undefined;
  let streaming: StreamServer | undefined;
  const { metrics, called } = serverMetrics(() => runtime);
  const backend = { log, called, context: () => (runtime?.ready ? runtime : undefined) };
  const server = await serveCri(settings.listen, backend, handlers);
  let closeMetrics: (() => Promise<void>) | undefined;
  try {
    closeMetrics = await openMetrics(settings.metricsAddress, metrics, log);
    if (isExposed(settings.streaming)) {
      log.warn({ address: settings.streaming.address }, 'streams can be read on the way: no TLS');
    }
    streaming = await serveStreams(
      settings.streaming,
      streamBackend(() => runtime),
      log,
    );
    const opened = await openRuntime(settings.runtime, log);
    opened.streaming = streaming;
    runtime = opened;
    log.info({ pods: runtime.sandboxes.list().length }, 'ready');
    await stopped;
  } finally {
    // Streams of events never end by themselves.
    runtime?.events.close();
    await Promise.all([server.close(), streaming?.close(), closeMetrics?.()]);
    if (runtime) await closeRuntime(runtime);
  }
  log.info({}, 'stopped');
}

/** Serves metrics where an address is set; returns a function that ends it. */
async function openMetrics(
  address: string | undefined,
  metrics: ServerMetrics['metrics'],
  log: Logger,
): Promise<(() => Promise<void>) | undefined> {
  if (address === undefined) return undefined;
  if (isExposed({ address })) log.warn({ address }, 'whoever can connect can read the metrics');
  const server = await serveMetrics(parseAddress(address), metrics);
  const stopMeasuring = addProcessMetrics(metrics);
  log.info({ address: server.address }, 'serving metrics');
  return async () => {
    stopMeasuring();
    await server.close();
  };
}
