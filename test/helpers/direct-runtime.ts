import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import type { RuntimeContext } from '../../src/runtime/context.ts';
import { createContainer } from '../../src/runtime/create-container.ts';
import { closeRuntime, defaultOptions, openRuntime } from '../../src/runtime/open.ts';
import { removeSandbox } from '../../src/runtime/remove-sandbox.ts';
import { runSandbox } from '../../src/runtime/run-sandbox.ts';
import type { ContainerConfig, SandboxConfig } from '../../src/spec/config.ts';

const IMAGE = 'test.local/busybox:1';
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

let names = 0;

/** A real runtime whose parts a test may replace by ones that fail, or that wait to be let on. */
export class DirectRuntime {
  readonly dir = mkdtempSync(join(tmpdir(), 'coracle-direct-'));
  readonly #spares: boolean;
  #ctx: RuntimeContext | undefined;

  /** `spares`: its pods may have monitors that were started ahead. */
  constructor(spares = false) {
    this.#spares = spares;
  }

  static async open(): Promise<DirectRuntime> {
    const runtime = new DirectRuntime();
    await runtime.begin();
    return runtime;
  }

  get ctx(): RuntimeContext {
    if (!this.#ctx) throw new Error('the runtime is not open');
    return this.#ctx;
  }

  /** Opens a new one for the first time, and gives it its image. */
  async begin(): Promise<void> {
    await makeBusyboxLayout(join(this.dir, 'layout'), { name: IMAGE });
    await this.open();
    await this.ctx.images.import(join(this.dir, 'layout'));
  }

  /** Puts other functions in the place of the addon's; returns a function that takes them back. */
  replace(functions: Partial<RuntimeContext['addon']>): () => void {
    const { addon } = this.ctx;
    Object.assign(this.ctx, { addon: { ...addon, ...functions } });
    return () => Object.assign(this.ctx, { addon });
  }

  /** Keeps whatever makes or removes files waiting until `open` is called. */
  heldFileOps(): { open: () => void; restore: () => void } {
    const { passed, open } = gate();
    const { addon } = this.ctx;
    const restore = this.replace({
      runFileOps: async (ops) => {
        await passed;
        return addon.runFileOps(ops);
      },
    });
    return { open, restore };
  }

  /** The ids of all pods. */
  pods(): string[] {
    return this.ctx.sandboxes.list().map(({ record }) => record.id);
  }

  /** A pod without a network of its own devices, which takes the least time. */
  pod(change: Partial<SandboxConfig> = {}, signal?: AbortSignal): Promise<string> {
    return runSandbox(this.ctx, podConfig(change), '', signal);
  }

  create(pod: string, change: Partial<ContainerConfig> = {}, signal?: AbortSignal) {
    return createContainer(this.ctx, pod, containerConfig(change), signal ? { signal } : {});
  }

  /** Closes it as a program does that ends at once, and opens it anew, after `meanwhile`. */
  async reopen(meanwhile: () => Promise<void> = async () => {}): Promise<void> {
    await closeRuntime(this.ctx, 0);
    await meanwhile();
    await this.open();
  }

  /** Opens it anew, after it was closed. */
  async open(): Promise<void> {
    this.#ctx = await openIn(this.dir);
    // Most tests replace or count what a pod of its own has.
    if (!this.#spares) await this.ctx.spares.close(this.ctx);
  }

  async close(): Promise<void> {
    if (this.#ctx) {
      await Promise.all(this.pods().map((id) => removeSandbox(this.ctx, id)));
      await closeRuntime(this.ctx);
    }
    await rm(this.dir, { recursive: true, force: true });
  }
}

export function podConfig(change: Partial<SandboxConfig> = {}): SandboxConfig {
  names += 1;
  return {
    name: `pod-${names}`,
    namespace: 'test',
    uid: 'u',
    attempt: 0,
    namespaces: { network: 'none' },
    ...change,
  };
}

export function containerConfig(change: Partial<ContainerConfig> = {}): ContainerConfig {
  names += 1;
  return { name: `c-${names}`, attempt: 0, image: IMAGE, command: ['sleep', '1000'], ...change };
}

function openIn(dir: string): Promise<RuntimeContext> {
  const options = { ...defaultOptions, root: join(dir, 'root'), state: join(dir, 'state') };
  return openRuntime(options, SILENT);
}

/** A promise that a test lets go on. */
export function gate(): { passed: Promise<void>; open: () => void } {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}
