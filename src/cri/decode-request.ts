import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { CoracleError, messageOf } from '../errors.ts';
import { eachMethod } from './each-method.ts';
import { RequestReader } from './request-reader.ts';

/** In the place of a request that could not be read: gRPC would answer by itself, with INTERNAL. */
export class Malformed {
  readonly error: CoracleError;

  constructor(error: CoracleError) {
    this.error = error;
  }
}

/** The service with decoders that never throw. */
export function tolerantService(service: ServiceDefinition): ServiceDefinition {
  return eachMethod(service, tolerant);
}

function tolerant<Request, Response>(
  method: MethodDefinition<Request, Response>,
): MethodDefinition<Request | Malformed, Response> {
  const name = method.path.slice(method.path.lastIndexOf('/') + 1);
  const requestDeserialize = (bytes: Buffer): Request | Malformed => {
    const reader = new RequestReader(bytes);
    try {
      // Generated decoders take a reader as well as bytes.
      const request = method.requestDeserialize(reader as unknown as Buffer);
      reader.end();
      return request;
    } catch (error) {
      const what = `request: at byte ${reader.pos} it is no ${name}Request: ${messageOf(error)}`;
      return new Malformed(new CoracleError('InvalidArgument', what, { cause: error }));
    }
  };
  return { ...method, requestDeserialize } as MethodDefinition<Request | Malformed, Response>;
}

/** The request as its handler takes it; throws InvalidArgument for one that could not be read. */
export function wellFormed<Request>(request: Request | Malformed): Request {
  if (request instanceof Malformed) throw request.error;
  return request;
}
