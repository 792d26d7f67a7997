// Types, lint and format of TypeScript, format of C++, direction of imports.
//
//     node scripts/check.mjs [--fix] [--tidy]
//
// --fix   formats, and applies the safe fixes of the linter, instead of complaining
// --tidy  clang-tidy, too (slow; needs build-dev/native from `node scripts/test.mjs native`)
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { filesBelow, has, heading, root, run } from './run-step.mjs';

const fix = process.argv.includes('--fix');
const tidy = process.argv.includes('--tidy');
const native = [
  ...filesBelow('native', ['.cc', '.h']),
  ...filesBelow('test/native', ['.cc', '.h']),
  ...filesBelow('test/fuzz', ['.cc', '.h']),
  ...filesBelow('test/sanitize', ['.cc']),
];
const compileCommands = 'build-dev/native';

const steps = [
  {
    name: fix ? 'format and lint, fixing (biome)' : 'format and lint (biome)',
    command: [
      'node_modules/.bin/biome',
      ['check', '--max-diagnostics=50', ...(fix ? ['--write'] : [])],
    ],
  },
  { name: 'types (tsc)', command: ['node_modules/.bin/tsc', ['-p', 'tsconfig.json']] },
  { name: 'direction of imports', command: [process.execPath, ['scripts/check-imports.mjs']] },
  {
    name: fix ? 'format of C++, fixing (clang-format)' : 'format of C++ (clang-format)',
    command: ['clang-format', [...(fix ? ['-i'] : ['--dry-run', '-Werror']), ...native]],
    skip: () => (has('clang-format') ? undefined : 'clang-format is not installed'),
  },
  {
    name: 'clang-tidy',
    command: [
      'clang-tidy',
      ['-p', compileCommands, '--quiet', ...native.filter((f) => f.endsWith('.cc'))],
    ],
    skip: () => {
      if (!tidy) return 'only with --tidy';
      if (!has('clang-tidy')) return 'clang-tidy is not installed';
      if (existsSync(join(root, compileCommands, 'compile_commands.json'))) return undefined;
      return `no ${compileCommands}/compile_commands.json: run node scripts/test.mjs native first`;
    },
  },
];

const results = { passed: 0, failed: 0, skipped: 0 };
for (const { name, command, skip } of steps) {
  heading(`check: ${name}`);
  const reason = skip?.();
  if (reason !== undefined) {
    console.log(`skipped: ${name}: ${reason}`);
    results.skipped += 1;
    continue;
  }
  const { status, output } = await run(...command);
  if (status === 127) console.log(output);
  results[status === 0 ? 'passed' : 'failed'] += 1;
  console.log(status === 0 ? 'ok' : `FAILED (exit status ${status})`);
}
console.log(
  `\ncheck: ${results.passed} passed, ${results.failed} failed, ${results.skipped} skipped`,
);
process.exit(results.failed === 0 ? 0 : 1);
