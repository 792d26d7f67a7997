import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { CoracleError } from '../errors.ts';

const PACKAGE = fileURLToPath(new URL('../..', import.meta.url));

export function registerBench(program: Command): void {
  program
    .command('bench [arguments...]')
    .description(
      'measure this host, beside the runtimes that are installed; --help has the options',
    )
    // They are those of bench/main.ts, which explains them.
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action(async (given: string[]) => {
      process.exitCode = await runBench(given);
    });
}

/** The benchmarks are no part of what is published: they compare, and need what compares. */
async function runBench(given: string[]): Promise<number> {
  const script = `${PACKAGE}scripts/bench.mjs`;
  if (!existsSync(script) || !existsSync(`${PACKAGE}bench/main.ts`)) {
    throw new CoracleError('FailedPrecondition', 'benchmarks need a checkout of the sources');
  }
  const { spawn } = await import('node:child_process');
  const child = spawn(process.execPath, [script, ...given], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
