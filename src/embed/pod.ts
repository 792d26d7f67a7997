import type { Duplex } from 'node:stream';
import type { RuntimeContext } from '../runtime/context.ts';
import { createContainer } from '../runtime/create-container.ts';
import { openPortForward } from '../runtime/port-forward.ts';
import { removeSandbox } from '../runtime/remove-sandbox.ts';
import { stopSandbox } from '../runtime/stop-sandbox.ts';
import type { ContainerConfig } from '../spec/config.ts';
import { newId } from '../store/ids.ts';
import type { ContainerRecord } from '../store/types.ts';
import { Container } from './container.ts';
import { check } from './options/check.ts';
import { containerOptions } from './options/container.ts';
import { createOptions, stdioOptions, waitOptions } from './options/process.ts';
import { type ContainerStdio, containerStdio, type StdioOptions } from './stdio.ts';

export interface ContainerOptions extends Omit<ContainerConfig, 'name' | 'attempt'> {
  /**
   * Unique within its pod; made up where absent. Of two calls at the same time with one name and
   * the same options both get the one container.
   */
  name?: string;
}

export interface CreateCall {
  ahead?: StdioOptions;
  signal?: AbortSignal;
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

  /**
   * Makes everything ready for a container. With `ahead` its process is launched, too, up to its
   * program, with these streams, which are those of a `start` without any; it waits for that for
   * 30 s. A start in between takes a fraction of the time.
   */
  async createContainer(options: ContainerOptions, call: CreateCall = {}): Promise<Container> {
    check(createOptions, 'call', call);
    const { ahead, signal } = call;
    return ahead
      ? this.#create(options, signal, (made) => containerStdio(this.#ctx, made, ahead))
      : this.#create(options, signal);
  }

  /**
   * Creates a container and starts it, which takes less time than the two calls: its process is
   * launched while its record is written. One that cannot be started is removed. Streams as those of
   * `Container.start`.
   */
  async run(
    options: ContainerOptions,
    stdio?: StdioOptions,
    call: { signal?: AbortSignal } = {},
  ): Promise<Container> {
    check(waitOptions, 'call', call);
    const streams = stdio && (check(stdioOptions, 'stdio', stdio) as StdioOptions);
    const container = await this.#create(options, call.signal, (made) =>
      containerStdio(this.#ctx, made, streams),
    );
    try {
      await container.start();
      return container;
    } catch (error) {
      await container.remove();
      throw error;
    }
  }

  async #create(
    options: ContainerOptions,
    signal: AbortSignal | undefined,
    ahead?: (made: Pick<ContainerRecord, 'sandboxId' | 'config'>) => ContainerStdio,
  ): Promise<Container> {
    const given = check(containerOptions, 'options', options) as ContainerOptions;
    const config = { name: `container-${newId().slice(0, 12)}`, ...given, attempt: 0 };
    const stdio = ahead?.({ sandboxId: this.id, config });
    const id = await createContainer(this.#ctx, this.id, config, {
      ...(signal && { signal }),
      ...(stdio && { ahead: stdio.io }),
    });
    return new Container(this.#ctx, id, stdio);
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
