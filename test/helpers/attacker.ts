import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeBusyboxLayout } from '../../scripts/busybox-image.mjs';
import type { TestServer } from './server.ts';

const SOURCE = fileURLToPath(new URL('../attacks/attacker.c', import.meta.url));

/** Where the image of `importAttacker` has it. */
export const ATTACKER = '/bin/attacker';

/** Compiles test/attacks/attacker.c into a directory; returns the path of the program. */
export function buildAttacker(dir: string): string {
  mkdirSync(dir, { recursive: true });
  const program = join(dir, 'attacker');
  execFileSync(process.env.CC ?? 'cc', ['-static', '-O1', '-o', program, SOURCE]);
  return program;
}

/** The busybox image with the attacker in it, and more files; returns its name. */
export async function importAttacker(
  server: TestServer,
  image: Omit<NonNullable<Parameters<typeof makeBusyboxLayout>[1]>, 'name'> = {},
  name = 'test.local/attacker:1',
): Promise<string> {
  const layout = join(server.dir, name.replaceAll(/\W/g, '-'));
  const data = readFileSync(buildAttacker(server.dir));
  const files = { 'bin/attacker': { data, mode: 0o755 }, ...image.files };
  makeBusyboxLayout(layout, { ...image, name, files });
  await server.client.importImage({ path: layout });
  return name;
}
