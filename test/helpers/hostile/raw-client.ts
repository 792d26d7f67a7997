/** Calls with any bytes for a request. */
import {
  Client,
  credentials,
  Metadata,
  type ServiceError,
  type StatusObject,
  status,
} from '@grpc/grpc-js';
import type { Rpc } from './schema.ts';

export interface Answer {
  code: status;
  details: string;
  /** The messages of the response, encoded. */
  messages: Buffer[];
}

const asIs = (bytes: Buffer) => bytes;
/** Of a stream without an end this is enough. */
const MOST = 5;

export class RawClient {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = new Client(`unix:${socket}`, credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
    });
  }

  call({ path, stream }: Pick<Rpc, 'path' | 'stream'>, request: Uint8Array, ms: number) {
    const bytes = Buffer.from(request);
    const options = { deadline: Date.now() + ms };
    const metadata = new Metadata();
    return new Promise<Answer>((resolve) => {
      const answer = (found: Partial<StatusObject>, messages: Buffer[]) =>
        resolve({ code: found.code ?? status.UNKNOWN, details: found.details ?? '', messages });
      if (!stream) {
        this.#client.makeUnaryRequest(
          path,
          asIs,
          asIs,
          bytes,
          metadata,
          options,
          (error: ServiceError | null, response?: Buffer) =>
            answer(error ?? { code: status.OK }, response ? [response] : []),
        );
        return;
      }
      const messages: Buffer[] = [];
      const call = this.#client.makeServerStreamRequest(path, asIs, asIs, bytes, metadata, options);
      call.on('data', (message: Buffer) => {
        messages.push(message);
        if (messages.length === MOST) call.cancel();
      });
      call.on('error', () => {});
      call.on('status', (found) => answer(found, messages));
    });
  }

  close(): void {
    this.#client.close();
  }
}
