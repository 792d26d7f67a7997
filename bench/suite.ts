import type { Benchmark } from './benchmark.ts';

/** By name, each loaded when it is wanted; in the order in which they run. */
export const SUITE: Record<string, () => Promise<Benchmark>> = {
  launch: async () => (await import('./benchmarks/launch.ts')).launch,
  rpc: async () => (await import('./benchmarks/rpc.ts')).rpc,
  pods: async () => (await import('./benchmarks/pods.ts')).pods,
  exec: async () => (await import('./benchmarks/exec.ts')).exec,
  exit: async () => (await import('./benchmarks/exit.ts')).exit,
  logs: async () => (await import('./benchmarks/logs.ts')).logs,
  status: async () => (await import('./benchmarks/status.ts')).status,
  scale: async () => (await import('./benchmarks/scale.ts')).scale,
  pull: async () => (await import('./benchmarks/pull.ts')).pull,
  unpack: async () => (await import('./benchmarks/unpack.ts')).unpack,
  loop: async () => (await import('./benchmarks/loop.ts')).loop,
};
