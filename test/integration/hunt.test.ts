import { appendFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { judge } from '../helpers/hostile/judge.ts';
import { anyBadRequest, badRequests } from '../helpers/hostile/requests.ts';
import { rpcs } from '../helpers/hostile/schema.ts';
import { HostileWorld } from '../helpers/hostile/world.ts';

const seconds = Number(process.env.SECS ?? 60);
const seed = Number(process.env.SEED ?? 1);
const only = process.env.ONLY;
const out = process.env.OUT ?? '/tmp/e-hunt.log';
test('hunt', { timeout: (seconds + 300) * 1000 }, async () => {
  let world = await HostileWorld.make();
  const seen = new Map<string, number>();
  const end = Date.now() + seconds * 1000;
  let n = 0;
  const arb = only
    ? fc.oneof(...rpcs.filter((r) => new RegExp(only).test(r.name)).map((r) => badRequests(r)))
    : anyBadRequest;
  const codes = new Map<string, number>();
  for (let round = 0; Date.now() < end; round++) {
    for (const bad of fc.sample(arb, { seed: seed * 1000 + round, numRuns: 50 })) {
      if (Date.now() > end) break;
      n += 1;
      try {
        const { code } = await judge(world, bad);
        const k = `${bad.rpc.name} ${code}`;
        codes.set(k, (codes.get(k) ?? 0) + 1);
      } catch (error) {
        const text = String((error as Error).message);
        const key = text
          .split('\n')
          .slice(0, 2)
          .join(' | ')
          .replace(/[0-9a-f]{12,}/g, 'ID')
          .slice(0, 300);
        const k2 = key.replace(/\d+/g, '#').slice(0, 110);
        seen.set(k2, (seen.get(k2) ?? 0) + 1);
        if (seen.get(k2) === 1) {
          const req = JSON.stringify(bad.request, (_, v) =>
            typeof v === 'string' && v.length > 80
              ? `${v.slice(0, 80)}…${v.length}`
              : typeof v === 'bigint'
                ? String(v)
                : Array.isArray(v) && v.length > 4
                  ? [...v.slice(0, 2), `×${v.length}`]
                  : v,
          );
          appendFileSync(
            out,
            `##### ${text.slice(0, 2600)}\nREQ ${req.slice(0, 1800)}\nSTACK ${(error as Error).stack
              ?.split('\n')
              .filter((l) => l.includes('bad-wt'))
              .slice(0, 4)
              .join(' ')}\n\n`,
          );
        }
        world.server.output = '';
        try {
          await world.server.client.version({}, { deadlineMs: 5000 });
          await world.ensure();
        } catch (e) {
          appendFileSync(
            out,
            `WORLD BROKEN after that: ${String(e)} ${world.server.output.slice(-1500)}\n`,
          );
          await world.server.end('SIGKILL').catch(() => {});
          world.raw.close();
          world = await HostileWorld.make();
        }
      }
    }
  }
  appendFileSync(
    out,
    `RUNS ${n}\n${[...seen].map(([k, c]) => `${c}x ${k}`).join('\n')}\n${[...codes]
      .sort()
      .map(([k, c]) => `${k}: ${c}`)
      .join(', ')}\n`,
  );
  await world.close();
});
