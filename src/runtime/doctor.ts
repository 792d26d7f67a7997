import { readFile } from 'node:fs/promises';
import { release } from 'node:os';
import type { RuntimeOptions } from './context.ts';
import { hostChecks } from './host-checks.ts';

export type CheckState =
  /** There, and used. */
  | 'ok'
  /** Coracle works without it, or with a limit that the detail names. */
  | 'degraded'
  /** Not there: what depends on it is refused. */
  | 'missing';

export interface HostCheck {
  /** Stable, for programs: "overlayfs". */
  readonly name: string;
  readonly state: CheckState;
  /** What was found and what follows from it, for people. */
  readonly detail: string;
}

/** What this host allows. Taken once, when a runtime is opened. */
export interface HostReport {
  /** Changes with each boot of the kernel: what was recorded under another one has ended. */
  readonly bootId: string;
  /** As uname(2) has it: "6.1.0-13-amd64". */
  readonly kernelRelease: string;
  /** [6, 1] for Linux 6.1. */
  readonly kernel: readonly [major: number, minor: number];
  readonly checks: readonly HostCheck[];
}

/**
 * Looks at the host: a few dozen small files are read, nothing is changed or started. With
 * `options` the directories and the CNI network of that runtime are looked at as well.
 */
export async function diagnose(
  options?: Partial<Pick<RuntimeOptions, 'root' | 'state' | 'network'>>,
): Promise<HostReport> {
  const kernelRelease = release();
  const kernel = kernelVersion(kernelRelease);
  const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'utf8');
  return Object.freeze({
    bootId: bootId.trim(),
    kernelRelease,
    kernel,
    checks: await hostChecks(kernel, kernelRelease, options ?? {}),
  });
}

/** Whether a check came out "ok". A name that was not looked at is a mistake of the caller's. */
export function hostHas(report: HostReport, name: string): boolean {
  const check = report.checks.find((each) => each.name === name);
  if (!check) throw new Error(`the host report has no check named ${name}`);
  return check.state === 'ok';
}

/** [6, 1] for "6.1.0-13-amd64"; [0, 0] for what is no version. */
export function kernelVersion(text: string): readonly [major: number, minor: number] {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}
