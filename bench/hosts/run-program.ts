import { addon } from '../../src/native/addon.ts';

const ENV = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  ...(process.env.XDG_RUNTIME_DIR ? [`XDG_RUNTIME_DIR=${process.env.XDG_RUNTIME_DIR}`] : []),
];

/**
 * Runs a program, started as cheaply as Linux allows, whoever is measured; a name without a slash is
 * looked for in the usual places. Returns what it wrote. Throws with what it said.
 */
export async function runProgram(
  program: string,
  args: string[],
  { stdin = '', env = [] }: { stdin?: string; env?: string[] } = {},
): Promise<string> {
  const direct = program.includes('/');
  const file = direct ? program : '/usr/bin/env';
  const argv = direct ? [program, ...args] : [file, program, ...args];
  const result = await addon.spawn({ file, argv, env: [...ENV, ...env], stdin });
  const { exitCode, stdout, stderr } = result;
  if (exitCode !== 0) {
    const said = (stderr || stdout).trim();
    throw new Error(`${program} ${args.join(' ')}: ${exitCode}: ${said}`);
  }
  return stdout;
}
