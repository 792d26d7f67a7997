import { handlers } from '../cri/handlers.ts';
import { serveCri } from '../cri/server.ts';
import type { Logger } from '../observe/logger.ts';
import { VERSION } from '../observe/version.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { closeRuntime, openRuntime } from '../runtime/open.ts';
import type { Settings } from './config.ts';

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
  const backend = { log, context: () => (runtime?.ready ? runtime : undefined) };
  const server = await serveCri(settings.listen, backend, handlers);
  try {
    runtime = await openRuntime(settings.runtime, log);
    log.info({ pods: runtime.sandboxes.list().length }, 'ready');
    await stopped;
  } finally {
    // Streams of events never end by themselves.
    runtime?.events.close();
    await server.close();
    if (runtime) await closeRuntime(runtime);
  }
  log.info({}, 'stopped');
}
