/** What went through a network interface since it was made. */
export interface InterfaceUsage {
  name: string;
  rxBytes: bigint;
  rxPackets: bigint;
  rxErrors: bigint;
  rxDropped: bigint;
  txBytes: bigint;
  txPackets: bigint;
  txErrors: bigint;
  txDropped: bigint;
}

/**
 * The interfaces in the text of a /proc/PID/net/dev (proc_pid_net(5)), without the loopback: what
 * goes through it stays in the pod. A name may hold any byte but blanks, "/" and a colon.
 */
export function parseInterfaces(text: string): InterfaceUsage[] {
  return text.split('\n').flatMap((line) => {
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).trim();
    const columns = line.slice(colon + 1).match(/\d+/g) ?? [];
    if (name === '' || name === 'lo' || columns.length < 16) return [];
    const value = (index: number) => BigInt(columns[index] ?? 0);
    return [
      {
        name,
        rxBytes: value(0),
        rxPackets: value(1),
        rxErrors: value(2),
        rxDropped: value(3),
        txBytes: value(8),
        txPackets: value(9),
        txErrors: value(10),
        txDropped: value(11),
      },
    ];
  });
}

/** The interface that counts as the pod's: "eth0", as networks call it, or else the first. */
export function defaultInterface(
  interfaces: readonly InterfaceUsage[],
): InterfaceUsage | undefined {
  return interfaces.find(({ name }) => name === 'eth0') ?? interfaces[0];
}
