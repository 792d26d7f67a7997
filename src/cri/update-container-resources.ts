import { updateContainerResources as update } from '../runtime/update-resources.ts';
import type { Unary } from './call.ts';
import { unsupported } from './fields.ts';
import type {
  UpdateContainerResourcesRequest,
  UpdateContainerResourcesResponse,
} from './gen/cri.ts';
import { changeFromCri } from './translate-resources.ts';

/** Zero and empty mean "leave it"; −1 as a limit of memory, swap or CPU time takes it away. */
export const updateContainerResources: Unary<
  UpdateContainerResourcesRequest,
  UpdateContainerResourcesResponse
> = async (ctx, { containerId, linux, windows, annotations }, signal) => {
  if (windows) throw unsupported('windows', 'Windows containers are');
  const { record } = ctx.containers.get(containerId);
  const resources = linux ? changeFromCri('linux', linux) : {};
  await update(ctx, record.id, { resources, annotations }, signal);
  return {};
};
