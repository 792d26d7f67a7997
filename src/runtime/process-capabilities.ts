/** Bit numbers of capabilities(7) as in linux/capability.h, without "CAP_". */
const BITS: Readonly<Record<string, number>> = {
  CHOWN: 0,
  DAC_OVERRIDE: 1,
  FOWNER: 3,
  KILL: 5,
  SETGID: 6,
  SETUID: 7,
  SETPCAP: 8,
  NET_ADMIN: 12,
  SYS_CHROOT: 18,
  SYS_ADMIN: 21,
  SYS_RESOURCE: 24,
  MKNOD: 27,
  SETFCAP: 31,
};

/**
 * Those of `names` that a process does not have in its effective set, by its /proc/PID/status.
 * Returned with "CAP_".
 */
export function missingCapabilities(status: string, names: readonly string[]): string[] {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
  const effective = BigInt(`0x${hex}`);
  return names
    .filter((name) => {
      const bit = BITS[name];
      if (bit === undefined) throw new Error(`no bit is known for CAP_${name}`);
      return ((effective >> BigInt(bit)) & 1n) === 0n;
    })
    .map((name) => `CAP_${name}`);
}
