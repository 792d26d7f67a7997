import { updatePodResources } from '../runtime/update-pod-resources.ts';
import type { Unary } from './call.ts';
import type {
  UpdatePodSandboxResourcesRequest,
  UpdatePodSandboxResourcesResponse,
} from './gen/cri.ts';
import { changeFromCri } from './translate-resources.ts';

export const updatePodSandboxResources: Unary<
  UpdatePodSandboxResourcesRequest,
  UpdatePodSandboxResourcesResponse
> = async (ctx, { podSandboxId, overhead, resources }, signal) => {
  const { record } = ctx.sandboxes.get(podSandboxId);
  const change = {
    ...(overhead && { overhead: changeFromCri('overhead', overhead) }),
    ...(resources && { resources: changeFromCri('resources', resources) }),
  };
  await updatePodResources(ctx, record.id, change, signal);
  return {};
};
