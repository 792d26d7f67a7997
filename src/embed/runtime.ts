import type { Logger, RuntimeContext, RuntimeOptions } from '../runtime/context.ts';
import type { ContainerEvent } from '../runtime/events.ts';
import { closeRuntime, defaultOptions, openRuntime } from '../runtime/open.ts';
import { removeSandbox } from '../runtime/remove-sandbox.ts';
import { runSandbox } from '../runtime/run-sandbox.ts';
import type { SandboxConfig } from '../spec/config.ts';
import { newId } from '../store/ids.ts';
import { checkedImages, type Images } from './images.ts';
import { check } from './options/check.ts';
import { openOptions } from './options/open.ts';
import { name } from './options/parts.ts';
import { podOptions } from './options/pod.ts';
import { waitOptions } from './options/process.ts';
import { Pod } from './pod.ts';

export interface OpenOptions extends Partial<RuntimeOptions> {
  /** Any logger of pino's shape; silent where absent. */
  log?: Logger;
  signal?: AbortSignal;
}

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
  readonly #images: Images;

  private constructor(ctx: RuntimeContext) {
    this.#ctx = ctx;
    this.#images = checkedImages(ctx.images);
  }

  /** Opens a root directory, made if missing, and recovers the pods that still run in it. */
  static async open(options: OpenOptions = {}): Promise<Runtime> {
    const { log = SILENT, signal, ...given } = check(openOptions, 'options', options);
    signal?.throwIfAborted();
    return new Runtime(await openRuntime({ ...defaultOptions, ...(given as object) }, log));
  }

  get images(): Images {
    return this.#images;
  }

  /** Makes a pod. It ends with this process unless `attached` is false. */
  async runPod(options: PodOptions = {}, call: { signal?: AbortSignal } = {}): Promise<Pod> {
    const { signal } = check(waitOptions, 'call', call);
    const uid = newId();
    const config: SandboxConfig = {
      name: `pod-${uid.slice(0, 12)}`,
      namespace: 'default',
      uid,
      attached: true,
      ...(check(podOptions, 'options', options) as PodOptions),
      attempt: 0,
    };
    return new Pod(this.#ctx, await runSandbox(this.#ctx, config, '', signal));
  }

  /** The pod with this id, or unique beginning of one. */
  pod(id: string): Pod {
    return new Pod(this.#ctx, this.#ctx.sandboxes.get(check(name, 'id', id)).record.id);
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
