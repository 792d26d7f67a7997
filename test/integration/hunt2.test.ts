import { appendFileSync } from 'node:fs';
import { test } from 'node:test';
import { judge } from '../helpers/hostile/judge.ts';
import { goodRequest, last, set } from '../helpers/hostile/requests.ts';
import { placesIn, rpcs } from '../helpers/hostile/schema.ts';
import { PATHS, WORDS } from '../helpers/hostile/values.ts';
import { HostileWorld } from '../helpers/hostile/world.ts';

const out = process.env.OUT ?? '/tmp/e-hunt2.log';
const only = new RegExp(process.env.ONLY ?? '^(RunPod|CreateC|Import|UpdateC|UpdatePod)');
const pathField = /path|_dir|directory|parent|ref$|paths$/;
test('hunt2', { timeout: 1_000_000 }, async () => {
  let world = await HostileWorld.make();
  let n = 0;
  for (const rpc of rpcs.filter((r) => only.test(r.name)))
    for (const rich of [false, true])
      for (const place of placesIn(rpc.request).filter(
        (p) => !p.slice(0, -1).some((f) => f.name === 'windows' || f.name === 'sandbox_config'),
      )) {
        const field = last(place);
        if (field.type !== 'string' || field.map) continue;
        const values = pathField.test(field.name) ? PATHS : process.env.WORDS ? WORDS : [];
        for (const value of values) {
          n += 1;
          const request = structuredClone(goodRequest(rpc.name, rich));
          set(request, place, field.repeated ? [value] : value);
          if (field.name === 'localhost_ref')
            set(
              request,
              [
                ...place.slice(0, -1),
                { ...field, key: 'profileType', type: 'ProfileType', name: 'profile_type' },
              ] as never,
              2,
            );
          try {
            await judge(world, { rpc, request, changed: [place] });
          } catch (error) {
            appendFileSync(
              out,
              `##### ${JSON.stringify(value).slice(0, 100)} ${rich} ${String((error as Error).message).slice(0, 1500)}\nSTACK ${(
                error as Error
              ).stack
                ?.split('\n')
                .filter((l) => l.includes('at ') && l.includes('bad-wt/test'))
                .slice(0, 4)
                .join(' ')
                .slice(0, 500)}\n\n`,
            );
            world.server.output = '';
            try {
              await world.server.client.version({}, { deadlineMs: 5000 });
              await world.ensure();
            } catch (e) {
              appendFileSync(
                out,
                `WORLD BROKEN: ${String(e)} ${world.server.output.slice(-1500)}\n`,
              );
              await world.server.end('SIGKILL').catch(() => {});
              world.raw.close();
              world = await HostileWorld.make();
            }
          }
        }
      }
  appendFileSync(out, `RUNS ${n}\n`);
  await world.close();
});
