/** Coracle's public surface: a container runtime for Linux, embedded in a Node.js program. */
export { Attachment, type AttachOptions } from './embed/attachment.ts';
export {
  Container,
  type ContainerInfo,
  type ExecOptions,
  type ExitStatus,
  type WaitOptions,
} from './embed/container.ts';
export { ExecHandle } from './embed/exec.ts';
export type { Images } from './embed/images.ts';
export { type ContainerOptions, type CreateCall, Pod } from './embed/pod.ts';
export { type OpenOptions, type PodOptions, Runtime } from './embed/runtime.ts';
export type { Stdio, StdioOptions } from './embed/stdio.ts';
export { CoracleError, type ErrorKind } from './errors.ts';
export type {
  ImageStatus,
  LayerProgress,
  PullOptions,
  PullProgress,
  RegistryAuth,
} from './image/images.ts';
export type { ContainerEvent, ContainerEventType } from './runtime/events.ts';
export type * from './spec/config.ts';
