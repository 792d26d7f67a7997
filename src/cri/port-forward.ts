import { requireReadySandbox } from '../runtime/preconditions.ts';
import type { Unary } from './call.ts';
import { integer } from './fields.ts';
import type { PortForwardRequest, PortForwardResponse } from './gen/cri.ts';
import { streamServer } from './stream-request.ts';

/** Grants a port-forward to the address in the answer, to any port where none is named. */
export const portForward: Unary<PortForwardRequest, PortForwardResponse> = async (ctx, request) => {
  const ports = request.port.map((port, i) => integer(`port[${i}]`, port, 1, 65_535));
  const { sandbox } = requireReadySandbox(ctx, request.podSandboxId);
  return { url: streamServer(ctx).portForward({ sandboxId: sandbox.record.id, ports }) };
};
