import { failpoint, failpointsArmed } from '../failpoint.ts';
import type { Addon, FileOp, MonitorConnection } from './types.ts';

type Request = (this: MonitorConnection, ...args: unknown[]) => Promise<unknown>;

const REQUESTS = [
  ...(['hello', 'sandbox', 'launch', 'run', 'start', 'signal', 'delete', 'reopenLog'] as const),
  ...(['prepare', 'resize', 'state', 'socket', 'terminal', 'attach', 'shutdown'] as const),
];

/** The addon, with failpoints around what it does to the world beyond this process. */
export function withFailpoints(native: Addon): Addon {
  return {
    ...native,
    startMonitor(spawn) {
      failpoint('monitor.spawn');
      const connection = native.startMonitor(spawn);
      failpoint('monitor.spawned');
      return requestsFail(connection);
    },
    async startMonitorAside(spawn) {
      await failpoint('spare.spawn');
      return requestsFail(await native.startMonitorAside(spawn));
    },
    connectMonitor: (socket) => requestsFail(native.connectMonitor(socket)),
    runFileOps: (ops) => (failpointsArmed() ? oneByOne(native, ops) : native.runFileOps(ops)),
  };
}

/** A failure or a death may come between any two operations of a batch. */
async function oneByOne(native: Addon, ops: FileOp[]): Promise<void> {
  for (const op of ops) {
    await failpoint('file.op');
    await native.runFileOps([op]);
  }
}

/** The methods of connections, made when there is the first one. */
let methods: object | undefined;

function requestsFail(connection: MonitorConnection): MonitorConnection {
  methods ??= failingMethods(Object.getPrototypeOf(connection));
  return Object.setPrototypeOf(connection, methods);
}

function failingMethods(native: Record<string, Request>): object {
  const failing: Record<string, Request> = Object.create(native);
  for (const name of REQUESTS) {
    const send = native[name] as Request;
    const value: Request = function (...args) {
      return failpointsArmed() ? asked(() => send.apply(this, args)) : send.apply(this, args);
    };
    Object.defineProperty(failing, name, { value });
  }
  return failing;
}

async function asked(send: () => Promise<unknown>): Promise<unknown> {
  await failpoint('monitor.request');
  const answer = await send();
  await failpoint('monitor.reply');
  return answer;
}
