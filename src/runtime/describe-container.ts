import { join } from 'node:path';
import { CoracleError, quote } from '../errors.ts';
import type { ContainerConfig } from '../spec/config.ts';
import { containerSpec } from '../spec/container-spec.ts';
import type { PodProcesses } from '../spec/namespaces.ts';
import { signalNumber } from '../spec/stop-signal.ts';
import type { Sandbox } from '../store/sandboxes.ts';
import type { ContainerRecord } from '../store/types.ts';
import { apparmorProfileFor } from './apparmor.ts';
import { containerCgroup } from './cgroup/index.ts';
import type { RuntimeContext } from './context.ts';
import { now } from './events.ts';
import { prepareMountSources } from './mount-sources.ts';
import { findMountedImages } from './mounted-images.ts';
import { checkOlderMonitor, hasOlderMonitor } from './older-monitor.ts';
import { snapshotDir } from './paths.ts';
import { podFilePaths } from './pod-files.ts';
import { readSeccompFile } from './read-seccomp-file.ts';
import { resolveDevices } from './resolve-devices.ts';
import { imageVolumes } from './volumes.ts';

/** Everything that does not change about a new container, its OCI spec included. */
export async function describeContainer(
  ctx: RuntimeContext,
  sandbox: Sandbox,
  id: string,
  name: string,
  config: ContainerConfig,
): Promise<ContainerRecord> {
  const image = ctx.images.status(config.image);
  if (!image) {
    throw new CoracleError('NotFound', `image ${quote(config.image)} is not present`);
  }
  checkOlderMonitor(ctx, sandbox.record.id, config);
  const stopSignal = config.stopSignal || image.config.stopSignal || 'SIGTERM';
  signalNumber(stopSignal);
  const cgroupPath = containerCgroup(sandbox.record.cgroupPath, id);
  const [devices, seccompFile, apparmorProfile, mounted] = await Promise.all([
    resolveDevices(config),
    readSeccompFile(config),
    hasOlderMonitor(ctx, sandbox.record.id) ? undefined : apparmorProfileFor(ctx, config),
    findMountedImages(ctx, config),
    prepareMountSources(config),
  ]);
  const spec = containerSpec({
    sandbox: sandbox.record.config,
    container: config,
    image: image.config,
    host: ctx.facts,
    podFiles: podFilePaths(ctx, sandbox.record),
    pod: podProcesses(ctx, sandbox, config),
    cgroupsPath: cgroupPath,
    rootfs: join(ctx.options.root, snapshotDir(id)),
    devices,
    images: mounted.contents,
    volumes: imageVolumes(ctx, id, image.config.volumes),
    ...(seccompFile ? { seccompFile } : {}),
    ...(apparmorProfile === undefined ? {} : { apparmorProfile }),
  });
  return {
    id,
    name,
    sandboxId: sandbox.record.id,
    config,
    imageId: image.id,
    imageRef: image.repoDigests[0] ?? image.id,
    createdAt: now(),
    cgroupPath,
    devices,
    stopSignal,
    layers: ctx.images.layersOf(image.id),
    ...(mounted.records.length > 0 ? { mountedImages: mounted.records } : {}),
    spec,
  };
}

function podProcesses(
  ctx: RuntimeContext,
  sandbox: Sandbox,
  config: ContainerConfig,
): PodProcesses {
  const { monitorPid = 0, reaperPid } = sandbox.record;
  const pod: PodProcesses = { monitor: monitorPid };
  if (reaperPid) pod.reaper = reaperPid;
  const targetId = config.security?.pid === 'target' ? config.security.targetId : undefined;
  if (targetId) pod.target = ctx.containers.get(targetId).status.get().pid;
  return pod;
}
