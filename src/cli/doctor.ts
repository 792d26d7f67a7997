import type { Command } from 'commander';
import { diagnose, type HostCheck, type HostReport } from '../runtime/doctor.ts';
import { isExposed } from '../streaming/address.ts';
import type { StreamServerOptions } from '../streaming/server.ts';
import { type Flags, loadSettings } from './config.ts';
import { withSettings } from './options.ts';
import { table } from './table.ts';

export function registerDoctor(program: Command): void {
  withSettings(program.command('doctor'))
    .description('tell what this host allows, what is degraded and why')
    .option('--json', 'for programs')
    .action(async (flags: Flags & { json?: boolean }) => {
      const settings = loadSettings(flags);
      const found = await diagnose(settings.runtime);
      const report = { ...found, checks: [...found.checks, streamCheck(settings.streaming)] };
      const text = flags.json ? `${JSON.stringify(report, null, 2)}\n` : reportTable(report);
      process.stdout.write(text);
    });
}

/** Who can listen in on exec, attach and port-forward. */
export function streamCheck(options: StreamServerOptions): HostCheck {
  const name = 'stream-address';
  if (isExposed(options)) {
    const detail = `${options.address}: other hosts can reach it, and there is no TLS: set stream-tls-cert and stream-tls-key`;
    return { name, state: 'degraded', detail };
  }
  return { name, state: 'ok', detail: `${options.address}${options.tls ? ', with TLS' : ''}` };
}

/** What is not in order stands first. */
export function reportTable(report: HostReport): string {
  const order = { missing: 0, degraded: 1, ok: 2 };
  const checks = [...report.checks].sort((a, b) => order[a.state] - order[b.state]);
  const rows = checks.map(({ name, state, detail }) => [name, state, detail]);
  return table([['CHECK', 'STATE', 'DETAIL'], ...rows]);
}
