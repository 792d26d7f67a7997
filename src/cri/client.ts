/**
 * A gRPC client of a running server: promises, and messages with only the fields that matter. For
 * the command line, the demo and the tests.
 */
import {
  type CallOptions,
  Client,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import * as adminMessages from './gen/coracle.ts';
import { AdminServiceService } from './gen/coracle.ts';
import * as criMessages from './gen/cri.ts';
import {
  type DeepPartial,
  ImageServiceService,
  type MessageFns,
  RuntimeServiceService,
} from './gen/cri.ts';

type Services = typeof RuntimeServiceService &
  typeof ImageServiceService &
  typeof AdminServiceService;
type RequestOf<M> = M extends { requestDeserialize(bytes: Buffer): infer T } ? T : never;
type ResponseOf<M> = M extends { responseDeserialize(bytes: Buffer): infer T } ? T : never;

export interface CriCall {
  /** Cancels the call. */
  signal?: AbortSignal;
  /** Milliseconds from now; default none. */
  deadlineMs?: number;
}

/**
 * Every method by its name. A streaming one begins when it is first asked for a response; to stop
 * asking, as `break` in a `for await` does, cancels it.
 */
export type CriClient = {
  [K in keyof Services]: (
    request?: DeepPartial<RequestOf<Services[K]>>,
    call?: CriCall,
  ) => Services[K]['responseStream'] extends true
    ? AsyncIterable<ResponseOf<Services[K]>>
    : Promise<ResponseOf<Services[K]>>;
} & { close(): void };

/**
 * How much of an answer may be on its way, bytes. By HTTP/2's own 64 KiB a list of a thousand
 * containers, some 400 KB, is seven round trips to a server that has other things to do between them.
 */
const WINDOW = 1024 * 1024;

/** A connection to the server on a unix socket, for messages of any size. */
export function criChannel(socket: string): Client {
  return new Client(`unix:${socket}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc-node.flow_control_window': WINDOW,
  });
}

/** A client of the server on a unix socket; rejects with grpc-js' ServiceError. */
export function criClient(socket: string): CriClient {
  const client = criChannel(socket);
  const services = { ...RuntimeServiceService, ...ImageServiceService, ...AdminServiceService };
  const methods: Record<string, unknown> = { close: () => client.close() };
  for (const [name, definition] of Object.entries(services)) {
    const run = definition.responseStream ? serverStream : unary;
    methods[name] = (request: object = {}, call?: CriCall) =>
      run(client, definition as MethodDefinition<unknown, unknown>, request, call);
  }
  return methods as CriClient;
}

function unary(
  client: Client,
  definition: MethodDefinition<unknown, unknown>,
  request: object,
  call: CriCall = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let over = () => {};
    const running = client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      requestType(definition.path).fromPartial(request),
      new Metadata(),
      options(call),
      (error: ServiceError | null, response?: unknown) => {
        over();
        if (error) reject(error);
        else resolve(response);
      },
    );
    over = cancelOn(call.signal, running);
  });
}

async function* serverStream(
  client: Client,
  definition: MethodDefinition<unknown, unknown>,
  request: object,
  call: CriCall = {},
): AsyncGenerator<unknown> {
  const running = client.makeServerStreamRequest(
    definition.path,
    definition.requestSerialize,
    definition.responseDeserialize,
    requestType(definition.path).fromPartial(request),
    new Metadata(),
    options(call),
  );
  // An error may also come after the last reader has gone, and then there is no one to hear it.
  running.on('error', () => {});
  const over = cancelOn(call.signal, running);
  try {
    yield* running;
  } finally {
    over();
    running.cancel();
  }
}

/** Returns a function that lets go of the signal, which may outlive many calls. */
function cancelOn(signal: AbortSignal | undefined, running: { cancel(): void }): () => void {
  const cancel = () => running.cancel();
  if (signal?.aborted) cancel();
  else signal?.addEventListener('abort', cancel, { once: true });
  return () => signal?.removeEventListener('abort', cancel);
}

function options(call: CriCall): Partial<CallOptions> {
  return call.deadlineMs === undefined ? {} : { deadline: Date.now() + call.deadlineMs };
}

/** The codec of a method's request: "<Method>Request", but for one that breaks the convention. */
function requestType(path: string): MessageFns<unknown> {
  const method = path.slice(path.lastIndexOf('/') + 1);
  const name = method === 'GetContainerEvents' ? 'GetEventsRequest' : `${method}Request`;
  const type = (
    { ...criMessages, ...adminMessages } as unknown as Record<string, MessageFns<unknown>>
  )[name];
  if (!type) throw new Error(`no message ${name}`);
  return type;
}
