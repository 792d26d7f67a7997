import type { RpcCount } from './rpc.ts';
import type { Run } from './run.ts';

/** What the run did, for people. */
export function summary(run: Run, minutes: number): string {
  const { done, options, server, rpc } = run;
  const launches = server.launches.toSorted((a, b) => b - a);
  const ms = (value: number | undefined) => `${Math.round(value ?? 0)} ms`;
  const mib = (done.logBytes / 1024 / 1024).toFixed(1);
  const median = launches[Math.floor(launches.length / 2)];
  const rows = [...rpc.counts]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([name, c]) => row(name, c));
  return [
    `seed ${options.seed}, ${minutes.toFixed(1)} minutes, network ${options.network}`,
    `${done.pods} pods, ${done.containers} containers, ${done.ends} ends, ${done.execs} execs, ` +
      `${done.reopens} log rotations, ${done.updates} updates, ${done.events} events`,
    `${done.serverKills} kills of the server and ${done.serverTerms} restarts, ` +
      `${done.monitorKills} kills of monitors`,
    `${done.logLines} log lines checked, ${done.logBytes} bytes (${mib} MiB)`,
    `launches until served: median ${ms(median)}, slowest ${launches.slice(0, 5).map(ms).join(', ')}`,
    ...rows,
  ].join('\n');
}

function row(name: string, { calls, slowest, failed }: RpcCount): string {
  const codes = Object.entries(failed).map(([code, times]) => `${code} ${times}`);
  const times = `${calls}`.padStart(7);
  return `  ${name.padEnd(26)}${times}  slowest ${slowest.toFixed(0).padStart(5)} ms  ${codes.join(', ')}`;
}
