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
import { waitOptions } from './options/process.ts';

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
    const given = check(containerOptions, 'options', options) as ContainerOptions;
    const config = { name: `container-${newId().slice(0, 12)}`, ...given, attempt: 0 };
    return new Container(this.#ctx, await createContainer(this.#ctx, this.id, config, call));
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
