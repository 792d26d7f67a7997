import type { Command } from 'commander';
import { diagnose, type HostReport } from '../runtime/doctor.ts';
import { type Flags, loadSettings } from './config.ts';
import { withSettings } from './options.ts';
import { table } from './table.ts';

export function registerDoctor(program: Command): void {
  withSettings(program.command('doctor'))
    .description('tell what this host allows, what is degraded and why')
    .option('--json', 'for programs')
    .action(async (flags: Flags & { json?: boolean }) => {
      const report = await diagnose(loadSettings(flags).runtime);
      const text = flags.json ? `${JSON.stringify(report, null, 2)}\n` : reportTable(report);
      process.stdout.write(text);
    });
}

/** What is not in order stands first. */
export function reportTable(report: HostReport): string {
  const order = { missing: 0, degraded: 1, ok: 2 };
  const checks = [...report.checks].sort((a, b) => order[a.state] - order[b.state]);
  const rows = checks.map(({ name, state, detail }) => [name, state, detail]);
  return table([['CHECK', 'STATE', 'DETAIL'], ...rows]);
}
