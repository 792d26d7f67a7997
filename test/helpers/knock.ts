import { once } from 'node:events';
import { connect, type NetConnectOpts } from 'node:net';

/** Connects, and hangs up; rejects where nobody listens. */
export async function knock(where: NetConnectOpts): Promise<void> {
  const socket = connect(where);
  try {
    await once(socket, 'connect');
  } finally {
    socket.destroy();
  }
}

/** Whether somebody takes connections there. */
export function listens(where: NetConnectOpts): Promise<boolean> {
  return knock(where).then(
    () => true,
    () => false,
  );
}
