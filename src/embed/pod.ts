import type { Duplex } from 'node:stream';
import type { RuntimeContext } from '../runtime/context.ts';
import { createContainer } from '../runtime/create-container.ts';
import { openPortForward } from '../runtime/port-forward.ts';
import { removeSandbox } from '../runtime/remove-sandbox.ts';
import { stopSandbox } from '../runtime/stop-sandbox.ts';
import type { ContainerConfig } from '../spec/config.ts';
import { newId } from '../store/ids.ts';
import { Container } from './container.ts';
import { check } from './options/check.ts';
import { containerOptions } from './options/container.ts';
import { stdioOptions, waitOptions } from './options/process.ts';
import { containerStdio, type StdioOptions } from './stdio.ts';

export interface ContainerOptions extends Omit<ContainerConfig, 'name' | 'attempt'> {
  /**
   * Unique within its pod; made up where absent. Of two calls at the same time with one name and
   * the same options both get the one container.
   */
  name?: string;
}

/** A pod sandbox: namespaces, addresses and containers. `await using` removes it with all. */
export class Pod implements AsyncDisposable {
  readonly id: string;
  readonly #ctx: RuntimeContext;

  /** @internal Pods are made by `Runtime.runPod`. */
  constructor(ctx: RuntimeContext, id: string) {
    this.#ctx = ctx;
    this.id = id;
  }

  /** Its addresses; none with the host's network, or before it has one. */
  get ips(): readonly string[] {
    return this.#ctx.sandboxes.get(this.id).record.network?.ips ?? [];
  }

  get ready(): boolean {
    return this.#ctx.sandboxes.get(this.id).state === 'ready';
  }

  async createContainer(
    options: ContainerOptions,
    call: { signal?: AbortSignal } = {},
  ): Promise<Container> {
    check(waitOptions, 'call', call);
    const config = containerConfig(options);
    return new Container(this.#ctx, await createContainer(this.#ctx, this.id, config, call));
  }

  /**
   * Creates a container and starts it, which takes less time than the two calls: its process is
   * launched while its record is written. One that cannot be started is removed.
   */
  async run(
    options: ContainerOptions,
    stdio?: StdioOptions,
    call: { signal?: AbortSignal } = {},
  ): Promise<Container> {
    check(waitOptions, 'call', call);
    const streams = stdio && (check(stdioOptions, 'stdio', stdio) as StdioOptions);
    const config = containerConfig(options);
    const chosen = containerStdio(this.#ctx, { sandboxId: this.id, config }, streams);
    const more = { ...call, ahead: chosen.io };
    const container = new Container(
      this.#ctx,
      await createContainer(this.#ctx, this.id, config, more),
    );
    try {
      await container.begin(chosen);
      return container;
    } catch (error) {
      await container.remove();
      throw error;
    }
  }

  containers(): Container[] {
    const members = this.#ctx.containers.list().filter((c) => c.record.sandboxId === this.id);
    return members.map((c) => new Container(this.#ctx, c.record.id));
  }

  /**
   * Connects to a TCP port of its loopback interface, IPv4 before IPv6. Either direction may be
   * ended alone. Rejects with Unavailable where nobody listens.
   */
  async forward(port: number, options: { signal?: AbortSignal } = {}): Promise<Duplex> {
    check(waitOptions, 'options', options);
    return openPortForward(this.#ctx, this.id, port, options.signal);
  }

  /** Kills its containers and gives back its network; it stays until it is removed. */
  async stop(options: { signal?: AbortSignal } = {}): Promise<void> {
    check(waitOptions, 'options', options);
    await stopSandbox(this.#ctx, this.id, options.signal);
  }

  async remove(options: { signal?: AbortSignal } = {}): Promise<void> {
    check(waitOptions, 'options', options);
    await removeSandbox(this.#ctx, this.id, options.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }
}

function containerConfig(options: ContainerOptions): ContainerConfig {
  const given = check(containerOptions, 'options', options) as ContainerOptions;
  return { name: `container-${newId().slice(0, 12)}`, ...given, attempt: 0 };
}
