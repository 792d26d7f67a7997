import type { RuntimeContext } from '../runtime/context.ts';
import { logPath } from '../runtime/stdio.ts';
import type { Container } from '../store/containers.ts';
import type { Unary } from './call.ts';
import { containerInfo, containerStatusMessage } from './container-status-message.ts';
import type {
  ContainerStatus,
  ContainerStatusRequest,
  ContainerStatusResponse,
} from './gen/cri.ts';
import { shownName } from './image-name.ts';

export const containerStatus: Unary<ContainerStatusRequest, ContainerStatusResponse> = async (
  ctx,
  { containerId, verbose },
) => {
  const container = ctx.containers.get(containerId);
  return {
    status: describeContainer(ctx, container),
    info: verbose ? containerInfo(container, ctx.live.of(container.record.id).phases) : {},
  };
};

/** The message, with what other stores know of the container's image and log. */
export function describeContainer(ctx: RuntimeContext, container: Container): ContainerStatus {
  const { record } = container;
  const image = ctx.images.status(record.imageId);
  const name = image && shownName(image, record.config.userSpecifiedImage ?? record.config.image);
  return containerStatusMessage(container, logPath(ctx, record), name);
}
