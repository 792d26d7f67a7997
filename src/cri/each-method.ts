import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

type Method = MethodDefinition<unknown, unknown>;

/** The service with every method as `change` makes it. */
export function eachMethod(
  service: ServiceDefinition,
  change: (method: Method) => unknown,
): ServiceDefinition {
  const methods = Object.entries(service).map(([name, method]) => [name, change(method)]);
  return Object.fromEntries(methods) as ServiceDefinition;
}
