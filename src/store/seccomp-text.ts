import { deepFreeze } from './frozen.ts';
import type { ContainerRecord } from './types.ts';

type Seccomp = NonNullable<ContainerRecord['spec']['linux']['seccomp']>;

/** Dead references that may gather before they are looked for. */
const SWEEP = 64;

/**
 * A profile is more than half of a container's record, and most containers have the same one. As a
 * text of its own it is encoded once, and those who read it share one frozen object.
 */
const texts = new WeakMap<Seccomp, string>();
const profiles = new Map<string, WeakRef<Seccomp>>();
let sweepAt = SWEEP;

/** The 64-bit arguments of rules are decimal text in it. */
export function seccompToText(profile: Seccomp): string {
  let text = texts.get(profile);
  if (text === undefined) {
    text = JSON.stringify(profile, (_key, value: unknown) =>
      typeof value === 'bigint' ? String(value) : value,
    );
    texts.set(profile, text);
  }
  return text;
}

/** Throws SyntaxError or TypeError on what `seccompToText` did not make. */
export function seccompFromText(text: string): Seccomp {
  const known = profiles.get(text)?.deref();
  if (known) return known;
  const profile = JSON.parse(text) as Seccomp;
  for (const { args = [] } of profile.syscalls) {
    for (const arg of args) {
      arg.value = BigInt(arg.value);
      arg.valueTwo = BigInt(arg.valueTwo);
    }
  }
  share(text, deepFreeze(profile));
  return profile;
}

function share(text: string, profile: Seccomp): void {
  texts.set(profile, text);
  profiles.set(text, new WeakRef(profile));
  if (profiles.size < sweepAt) return;
  for (const [each, reference] of profiles) if (!reference.deref()) profiles.delete(each);
  sweepAt = profiles.size + SWEEP;
}
