import type { ImageService } from '../image/images.ts';
import type { Logger, RuntimeContext, RuntimeOptions } from '../runtime/context.ts';
import type { ContainerEvent } from '../runtime/events.ts';
import { closeRuntime, defaultOptions, openRuntime } from '../runtime/open.ts';
import { removeSandbox } from '../runtime/remove-sandbox.ts';
import { runSandbox } from '../runtime/run-sandbox.ts';
import type { SandboxConfig } from '../spec/config.ts';
import { newId } from '../store/ids.ts';
import { Pod } from './pod.ts';

export interface OpenOptions extends Partial<RuntimeOptions> {
  /** Any logger of pino's shape; silent where absent. */
  log?: Logger;
  signal?: AbortSignal;
}

/** The images of a runtime's root directory. */
export type Images = Pick<ImageService, 'pull' | 'import' | 'list' | 'status' | 'remove'>;

export interface PodOptions extends Partial<Omit<SandboxConfig, 'attempt'>> {}

const SILENT: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * A container runtime in this process. One root directory belongs to one process at a time.
 *
 * @example
 * await using runtime = await Runtime.open({ root: '/var/lib/app', state: '/run/app' });
 * const [image] = await runtime.images.import('image.tar');
 * await using pod = await runtime.runPod();
 * await using container = await pod.createContainer({ image, command: ['echo', 'hello'] });
 * await container.start({ stdout: 'inherit' });
 * const { exitCode } = await container.wait();
 */
export class Runtime implements AsyncDisposable {
  readonly #ctx: RuntimeContext;

  private constructor(ctx: RuntimeContext) {
    this.#ctx = ctx;
  }

  /** Opens a root directory, made if missing, and recovers the pods that still run in it. */
  static async open(options: OpenOptions = {}): Promise<Runtime> {
    const { log = SILENT, signal, ...rest } = options;
    signal?.throwIfAborted();
    return new Runtime(await openRuntime({ ...defaultOptions, ...rest }, log));
  }

  get images(): Images {
    return this.#ctx.images;
  }

  /** Makes a pod. It ends with this process unless `attached` is false. */
  async runPod(options: PodOptions = {}, { signal }: { signal?: AbortSignal } = {}): Promise<Pod> {
    const uid = newId();
    const config: SandboxConfig = {
      name: `pod-${uid.slice(0, 12)}`,
      namespace: 'default',
      uid,
      attached: true,
      ...options,
      attempt: 0,
    };
    return new Pod(this.#ctx, await runSandbox(this.#ctx, config, '', signal));
  }

  /** The pod with this id, or unique beginning of one. */
  pod(id: string): Pod {
    return new Pod(this.#ctx, this.#ctx.sandboxes.get(id).record.id);
  }

  pods(): Pod[] {
    return this.#ctx.sandboxes.list().map((sandbox) => new Pod(this.#ctx, sandbox.record.id));
  }

  /** Calls back for every container event; returns a function that ends the subscription. */
  subscribe(listener: (event: ContainerEvent) => void): () => void {
    return this.#ctx.events.subscribe(listener);
  }

  /** Removes the attached pods and lets go of the others, which go on. */
  async close(): Promise<void> {
    const attached = this.#ctx.sandboxes.list().filter((s) => s.record.config.attached);
    const removals = attached.map((sandbox) => removeSandbox(this.#ctx, sandbox.record.id));
    try {
      await Promise.all(removals);
    } finally {
      await Promise.allSettled(removals);
      await closeRuntime(this.#ctx);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
