import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CriClient } from '../../src/cri/client.ts';

const TIMEOUT = 60_000; // ms

/**
 * Asks until the server answers, every 2 ms. The client itself asks nothing before the socket takes
 * connections: after one that was refused, gRPC waits a second before it tries again.
 */
export async function answering(
  client: CriClient,
  socket: string,
  child: ChildProcess,
): Promise<void> {
  let listens = false;
  for (const end = Date.now() + TIMEOUT; ; await sleep(2)) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`the server ended with ${child.exitCode ?? child.signalCode}`);
    }
    try {
      if (!listens) await accepts(socket);
      listens = true;
      await client.version({ version: 'v1' }, { deadlineMs: 5000 });
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}

async function accepts(path: string): Promise<void> {
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}
