import { criChannel } from '../../src/cri/client.ts';
import { ListContainersResponse, RuntimeServiceService } from '../../src/cri/gen/cri.ts';

const { path } = RuntimeServiceService.listContainers;

const asItIs = (bytes: Buffer): Buffer => bytes;

export interface ListClient extends Disposable {
  /** The answer of ListContainers, as it came. */
  ask(): Promise<Buffer>;
}

/**
 * For measuring a server and not its client: to make a thousand objects of an answer takes this
 * process several ms, and now and then a garbage collection.
 */
export function listClient(socket: string): ListClient {
  const client = criChannel(socket);
  const ask = () =>
    new Promise<Buffer>((resolve, reject) => {
      // The message without fields: no filter.
      client.makeUnaryRequest(path, asItIs, asItIs, Buffer.alloc(0), (error, answer) => {
        if (error) reject(error);
        else resolve(answer ?? Buffer.alloc(0));
      });
    });
  return { ask, [Symbol.dispose]: () => client.close() };
}

/** How many containers are in an answer. */
export function countOf(answer: Buffer): number {
  return ListContainersResponse.decode(answer).containers.length;
}
