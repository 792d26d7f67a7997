import { isUtf8 } from 'node:buffer';
import { invalid, quote } from '../errors.ts';
import type { ContainerConfig, DeviceConfig, SandboxConfig } from '../spec/config.ts';
import {
  absolutePath,
  nonEmpty,
  present,
  refuseAny,
  relativePath,
  unsupported,
  withoutNul,
} from './fields.ts';
import type { ContainerConfig as CriContainerConfig, Device, KeyValue } from './gen/cri.ts';
import { imageName, imageNotes } from './image-name.ts';
import { signalFromCri } from './signal.ts';
import { mountFromCri } from './translate-mount.ts';
import { resourcesFromCri } from './translate-resources.ts';
import type { TranslationHost } from './translate-sandbox.ts';
import { securityFromCri } from './translate-security.ts';

/** Annotations by which device plugins of older kubelets ask for CDI devices. */
const CDI_ANNOTATION = 'cdi.k8s.io/';

/**
 * A container configuration from CRI's, for a pod of the given configuration.
 *
 * Throws InvalidArgument for what makes no sense and Unimplemented for what Coracle has not, both
 * naming the field.
 */
export function containerFromCri(
  message: CriContainerConfig | undefined,
  sandbox: SandboxConfig,
  host: TranslationHost,
): ContainerConfig {
  const config = present('config', message);
  const metadata = present('config.metadata', config.metadata);
  refuseUnsupported(config);
  const stopSignal = signalFromCri('config.stop_signal', config.stopSignal);
  const { linux } = config;
  return {
    name: nonEmpty('config.metadata.name', metadata.name),
    attempt: metadata.attempt,
    image: imageName('config.image', config.image),
    ...imageNotes(config.image),
    command: config.command.map((arg, i) => withoutNul(`config.command[${i}]`, arg)),
    args: config.args.map((arg, i) => withoutNul(`config.args[${i}]`, arg)),
    ...(config.workingDir && {
      workingDir: absolutePath('config.working_dir', config.workingDir),
    }),
    env: config.envs.map((variable, i) => environment(`config.envs[${i}]`, variable)),
    mounts: config.mounts.map((mount, i) =>
      mountFromCri(`config.mounts[${i}]`, mount, sandbox, host),
    ),
    devices: config.devices.map((device, i) => deviceFromCri(`config.devices[${i}]`, device)),
    labels: { ...config.labels },
    annotations: { ...config.annotations },
    ...(config.logPath && { logPath: relativePath('config.log_path', config.logPath) }),
    stdin: config.stdin,
    stdinOnce: config.stdinOnce,
    tty: config.tty,
    resources: {
      // Without it a container would inherit the protection that the runtime itself has.
      oomScoreAdj: 0,
      ...(linux?.resources && resourcesFromCri('config.linux.resources', linux.resources)),
    },
    security: securityFromCri(
      'config.linux.security_context',
      linux?.securityContext,
      sandbox,
      host,
    ),
    ...(stopSignal && { stopSignal }),
  };
}

function refuseUnsupported(config: CriContainerConfig): void {
  if (config.windows) throw unsupported('config.windows', 'Windows containers are');
  refuseAny('config.CDI_devices', config.CDIDevices, 'CDI devices are');
  const annotation = Object.keys(config.annotations).find((key) => key.startsWith(CDI_ANNOTATION));
  if (annotation !== undefined) {
    throw unsupported(`config.annotations[${quote(annotation)}]`, 'CDI devices are');
  }
}

/** Values are bytes on the wire and text in Coracle, where they must survive JSON. */
function environment(field: string, { key, value }: KeyValue): [string, string] {
  if (key.includes('=')) throw invalid(`${field}.key`, key, 'must not contain "="');
  nonEmpty(`${field}.key`, key);
  if (!isUtf8(value)) throw invalid(`${field}.value`, value.toString('latin1'), 'is not UTF-8');
  return [key, withoutNul(`${field}.value`, value.toString('utf8'))];
}

function deviceFromCri(field: string, device: Device): DeviceConfig {
  if (!/^[rwm]+$/.test(device.permissions)) {
    throw invalid(`${field}.permissions`, device.permissions, 'must be of the letters r, w, m');
  }
  return {
    containerPath: absolutePath(`${field}.container_path`, device.containerPath),
    hostPath: absolutePath(`${field}.host_path`, device.hostPath),
    permissions: device.permissions,
  };
}
