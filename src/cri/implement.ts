import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { CoracleError } from '../errors.ts';
import type { ServerStreaming, Unary } from './call.ts';
import type { Backend } from './call-scope.ts';
import type { AdminServiceService } from './gen/coracle.ts';
import type { ImageServiceService, RuntimeServiceService } from './gen/cri.ts';
import { serveStream } from './serve-stream.ts';
import { serveUnary } from './serve-unary.ts';

type Services = typeof RuntimeServiceService &
  typeof ImageServiceService &
  typeof AdminServiceService;

/** The methods that exist, by the names in the generated services; the rest is Unimplemented. */
export type Handlers<Context> = {
  readonly [Name in keyof Services]?: Services[Name]['responseStream'] extends true
    ? // biome-ignore lint/suspicious/noExplicitAny: each method's own types are checked in handlers.ts
      ServerStreaming<any, any, Context>
    : // biome-ignore lint/suspicious/noExplicitAny: as above
      Unary<any, any, Context>;
};

/** Every method of a generated service: the handler that there is, or one that refuses. */
export function implement<Context>(
  service: ServiceDefinition,
  backend: Backend<Context>,
  handlers: Handlers<Context>,
): UntypedServiceImplementation {
  const methods: UntypedServiceImplementation = {};
  for (const [name, definition] of Object.entries(service)) {
    const method = definition.path.slice(definition.path.lastIndexOf('/') + 1);
    const handler = handlers[name as keyof Services] ?? (() => refuse(method));
    methods[name] = definition.responseStream
      ? serveStream(backend, method, handler as ServerStreaming<unknown, unknown, Context>)
      : serveUnary(backend, method, handler as Unary<unknown, unknown, Context>);
  }
  return methods;
}

function refuse(method: string): never {
  throw new CoracleError('Unimplemented', `${method} is not implemented`);
}
