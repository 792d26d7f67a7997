import { runSandbox } from '../runtime/run-sandbox.ts';
import { checkRuntimeHandler } from '../runtime/runtime-handlers.ts';
import type { Unary } from './call.ts';
import type { RunPodSandboxRequest, RunPodSandboxResponse } from './gen/cri.ts';
import { sandboxFromCri } from './translate-sandbox.ts';
import { translationHost } from './translation-host.ts';

export const runPodSandbox: Unary<RunPodSandboxRequest, RunPodSandboxResponse> = async (
  ctx,
  request,
  signal,
) => {
  const handler = checkRuntimeHandler('runtime_handler', request.runtimeHandler);
  const config = sandboxFromCri(request.config, translationHost(ctx));
  return { podSandboxId: await runSandbox(ctx, config, handler, signal) };
};
