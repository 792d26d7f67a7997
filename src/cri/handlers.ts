import type { MethodDefinition } from '@grpc/grpc-js';
import { attach } from './attach.ts';
import type { ServerStreaming, Unary } from './call.ts';
import { checkpointContainer, checkpointPod, restorePod } from './checkpoint.ts';
import { containerStats } from './container-stats.ts';
import { containerStatus } from './container-status.ts';
import { createContainer } from './create-container.ts';
import type { Encoded } from './encoded.ts';
import { exec } from './exec.ts';
import { execSync } from './exec-sync.ts';
import type { AdminServiceService } from './gen/coracle.ts';
import type { ImageServiceService, RuntimeServiceService } from './gen/cri.ts';
import { getContainerEvents } from './get-container-events.ts';
import { imageFsInfo } from './image-fs-info.ts';
import { imageStatus } from './image-status.ts';
import { importImage } from './import-image.ts';
import { listContainerStats } from './list-container-stats.ts';
import { listContainers } from './list-containers.ts';
import { listImages } from './list-images.ts';
import { listMetricDescriptors } from './list-metric-descriptors.ts';
import { listPodSandbox } from './list-pod-sandbox.ts';
import { listPodSandboxMetrics } from './list-pod-sandbox-metrics.ts';
import { listPodSandboxStats } from './list-pod-sandbox-stats.ts';
import { podSandboxStats } from './pod-sandbox-stats.ts';
import { podSandboxStatus } from './pod-sandbox-status.ts';
import { portForward } from './port-forward.ts';
import { pullImage } from './pull-image.ts';
import { pullWithProgress } from './pull-with-progress.ts';
import { removeContainer } from './remove-container.ts';
import { removeImage } from './remove-image.ts';
import { removePodSandbox } from './remove-pod-sandbox.ts';
import { reopenContainerLog } from './reopen-container-log.ts';
import { runPodSandbox } from './run-pod-sandbox.ts';
import { runtimeConfig } from './runtime-config.ts';
import { startContainer } from './start-container.ts';
import { status } from './status.ts';
import { stopContainer } from './stop-container.ts';
import { stopPodSandbox } from './stop-pod-sandbox.ts';
import { streamContainerStats } from './stream-container-stats.ts';
import { streamContainers } from './stream-containers.ts';
import { streamImages } from './stream-images.ts';
import { streamPodSandboxMetrics } from './stream-pod-sandbox-metrics.ts';
import { streamPodSandboxStats } from './stream-pod-sandbox-stats.ts';
import { streamPodSandboxes } from './stream-pod-sandboxes.ts';
import { updateContainerResources } from './update-container-resources.ts';
import { updatePodSandboxResources } from './update-pod-sandbox-resources.ts';
import { updateRuntimeConfig } from './update-runtime-config.ts';
import { version } from './version.ts';

/** The methods of a generated service, with their own requests and responses. */
type Methods<Service> = {
  readonly [Method in keyof Service]?: Service[Method] extends MethodDefinition<
    infer Request,
    infer Response
  >
    ? Service[Method]['responseStream'] extends true
      ? ServerStreaming<Request, Response>
      : Unary<Request, Response | Encoded>
    : never;
};

const runtimeService: Methods<typeof RuntimeServiceService> = {
  version,
  status,
  runtimeConfig,
  updateRuntimeConfig,
  runPodSandbox,
  stopPodSandbox,
  removePodSandbox,
  podSandboxStatus,
  listPodSandbox,
  streamPodSandboxes,
  updatePodSandboxResources,
  createContainer,
  startContainer,
  stopContainer,
  removeContainer,
  containerStatus,
  listContainers,
  streamContainers,
  updateContainerResources,
  execSync,
  exec,
  attach,
  portForward,
  reopenContainerLog,
  containerStats,
  listContainerStats,
  streamContainerStats,
  podSandboxStats,
  listPodSandboxStats,
  streamPodSandboxStats,
  listMetricDescriptors,
  listPodSandboxMetrics,
  streamPodSandboxMetrics,
  getContainerEvents,
  checkpointContainer,
  checkpointPod,
  restorePod,
};

const imageService: Methods<typeof ImageServiceService> = {
  listImages,
  streamImages,
  imageStatus,
  pullImage,
  removeImage,
  imageFsInfo,
};

const adminService: Methods<typeof AdminServiceService> = { importImage, pullWithProgress };

/** The methods that Coracle has, for `serveCri`. */
export const handlers = { ...runtimeService, ...imageService, ...adminService };
