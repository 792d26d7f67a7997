import type { NetworkReadiness } from '../network/index.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import { RUNTIME_HANDLERS } from '../runtime/runtime-handlers.ts';
import { hasUserNamespaces } from '../runtime/user-namespace-check.ts';
import type { Unary } from './call.ts';
import type { RuntimeCondition, StatusRequest, StatusResponse } from './gen/cri.ts';
import { toJson } from './json.ts';
import { podCidrOf } from './update-runtime-config.ts';

/** Kubelet asks every 5 s and marks the node NotReady by the two conditions. */
export const status: Unary<StatusRequest, StatusResponse> = async (ctx, { verbose }) => {
  const network = await ctx.network.ready();
  return {
    status: { conditions: [runtimeReady(ctx), networkReady(network)] },
    info: verbose ? info(ctx, network) : {},
    runtimeHandlers: RUNTIME_HANDLERS.map((handler) => ({
      name: handler.name,
      features: { ...handler.features(ctx.host) },
    })),
    features: {
      supplementalGroupsPolicy: true,
      userNamespacesHostNetwork: hasUserNamespaces(ctx.host),
      mountOptions: true,
    },
  };
};

function runtimeReady(ctx: RuntimeContext): RuntimeCondition {
  const condition = { type: 'RuntimeReady', reason: '', message: '' };
  if (!ctx.closing) return { ...condition, status: true };
  return { ...condition, status: false, reason: 'ShuttingDown', message: 'the server is stopping' };
}

/** What is merely degraded, as a missing nft, is told without making the node unready. */
function networkReady({ ok, reason }: NetworkReadiness): RuntimeCondition {
  const name = ok ? (reason === '' ? '' : 'NetworkDegraded') : 'NetworkNotReady';
  return { type: 'NetworkReady', status: ok, reason: name, message: reason };
}

function info(ctx: RuntimeContext, network: NetworkReadiness): Record<string, string> {
  return {
    config: toJson({ ...ctx.options, podCidr: podCidrOf(ctx) }),
    doctor: toJson(ctx.host),
    ...networkInfo(ctx, network),
  };
}

/** Of CNI under the keys that users of `crictl info` look for. */
function networkInfo(
  { network, options }: RuntimeContext,
  { ok, reason }: NetworkReadiness,
): Record<string, string> {
  const described = toJson(network.describe());
  if (options.network.cniConfDir === undefined) return { network: described };
  return { cniconfig: described, lastCNILoadStatus: ok ? 'OK' : reason };
}
