import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import { type CriClient, criClient } from '../../src/cri/client.ts';
import { CLI } from './cli.ts';
import { knock } from './knock.ts';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));

/** A real `coracle serve` on directories of its own; it can be killed and started again. */
export class TestServer {
  readonly dir = mkdtempSync(join(tmpdir(), 'coracle-test-'));
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  /** What it has written to stderr. */
  output = '';
  #process: ChildProcess | undefined;
  #client: CriClient | undefined;

  /** Flags beside those of its directories; what is changed here counts from the next launch. */
  flags: string[];

  /** One that does not run yet. */
  constructor(flags: string[] = []) {
    this.flags = flags;
    this.root = join(this.dir, 'root');
    this.state = join(this.dir, 'state');
    this.socket = join(this.dir, 'coracle.sock');
  }

  static async start(flags: string[] = []): Promise<TestServer> {
    const server = new TestServer(flags);
    await server.launch();
    return server;
  }

  get client(): CriClient {
    if (!this.#client) throw new Error('the server does not run');
    return this.#client;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Starts it, or starts it again, and waits until it answers. */
  async launch(): Promise<void> {
    const args = [...CLI, 'serve'];
    args.push('--listen', `unix://${this.socket}`, '--root', this.root, '--state', this.state);
    args.push(...this.flags);
    const child = spawn(process.execPath, args, {
      cwd: PACKAGE,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      this.output += chunk.toString();
    });
    this.#process = child;
    this.#client = undefined;
    const end = Date.now() + 90_000;
    for (;;) {
      try {
        // A gRPC client that finds nobody waits longer and longer, and connects when it is closed.
        await knock({ path: this.socket });
        this.#client ??= criClient(this.socket);
        await this.#client.version({});
        return;
      } catch (error) {
        if (child.exitCode !== null || Date.now() > end) {
          throw new Error(`coracle serve did not come up: ${this.output}`, { cause: error });
        }
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    }
  }

  /** Ends it: politely with SIGTERM, or with SIGKILL. Containers go on. */
  async end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#client?.close();
    this.#client = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  }

  /** Imports the busybox image with `coracle import`'s own code path; returns its reference. */
  async importBusybox(name = 'test.local/busybox:1'): Promise<string> {
    const layout = join(this.dir, 'layout');
    await makeBusyboxLayout(layout, { name });
    await this.importLayout(layout);
    return name;
  }

  async importLayout(layout: string): Promise<void> {
    const child = spawn(
      process.execPath,
      [...CLI, 'import', '--listen', `unix://${this.socket}`, layout],
      { cwd: PACKAGE, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    let text = '';
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    child.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    const [code] = await once(child, 'exit');
    if (code !== 0) throw new Error(`coracle import: ${text}`);
  }

  /** Removes every pod, ends the server and deletes its directories. */
  async close(): Promise<void> {
    if (this.#client) {
      const { items } = await this.client.listPodSandbox({});
      for (const { id } of items) await this.client.removePodSandbox({ podSandboxId: id });
    }
    await this.end('SIGTERM');
    await rm(this.dir, { recursive: true, force: true });
  }
}
