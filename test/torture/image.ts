import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { busyboxTree, makeTar, writeLayout } from '../../scripts/busybox-image.mjs';

/** Compiles the actor and writes an OCI layout of busybox with it; returns the image's name. */
export function makeActorLayout(dir: string, layout: string): string {
  const actor = join(dir, 'actor');
  const source = join(import.meta.dirname, 'actor.c');
  execFileSync('cc', ['-static', '-O2', '-o', actor, source], { stdio: 'inherit' });
  const name = 'torture.local/actor:1';
  const layer = makeTar([{ name: 'bin/actor', mode: 0o755, data: readFileSync(actor) }]);
  writeLayout(layout, {
    name,
    layers: [makeTar(busyboxTree()), layer],
    config: { Env: ['PATH=/bin'], Cmd: ['sh'] },
  });
  return name;
}
