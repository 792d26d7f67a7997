/** Configuration files and flags with anything in them: settings, or a refusal that names the key. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Flags, loadSettings, parseConfig } from '../../src/cli/config.ts';
import { settingsSchema } from '../../src/cli/settings-schema.ts';
import { CoracleError } from '../../src/errors.ts';

const options = {
  numRuns: process.env.CORACLE_HOSTILE_SECONDS ? 100_000 : 2000,
  verbose: 1,
} as const;
const keys = Object.keys(settingsSchema.entries);

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('', '/', '/a\0b', '..', '/a:/b', '/a::b', ':', 'info', 'cgroupfs', 'none'),
  fc.constantFrom('127.0.0.1:0', '[::1]:65535', 'x:65536', '10.0.0.0/33', '::/0', 'a*', '\ud800'),
);
const quoted = text.map((value) => JSON.stringify(value).replace(/\\u007f|\x7f/g, 'x'));
const scalar = fc.oneof(
  quoted,
  fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map(String),
  fc.integer({ min: -2, max: 100_000 }).map(String),
  fc.constantFrom('true', 'nan', 'inf', '-0.0', '1e309', '0x7fffffff', '2_147_483_648'),
  fc.constantFrom('1979-05-27T07:32:00Z', '07:32:00', "''", '"""\n"""', '[]', '{}', '[[]]'),
);
const value = fc.oneof(
  { weight: 4, arbitrary: scalar },
  { weight: 1, arbitrary: fc.array(scalar, { maxLength: 3 }).map((all) => `[${all.join(', ')}]`) },
  { weight: 1, arbitrary: scalar.map((each) => `{ a = ${each} }`) },
);
const key = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...keys) },
  {
    weight: 1,
    arbitrary: fc.constantFrom('__proto__', 'constructor', '"a b"', 'a.b', '"\\u0000"'),
  },
);

/** Either it is right, or it is refused in words that a user can do something with. */
function attempt(read: () => unknown, names: RegExp): void {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof CoracleError, String(error));
    assert.equal(error.kind, 'InvalidArgument');
    assert.match(error.message, names);
    assert.ok(error.message.length < 2000);
    encodeURI(error.message);
  }
}

describe('a configuration file', () => {
  it('is taken, or refused by its key, whatever the values are', () => {
    const file = fc.array(fc.tuple(key, value), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(file, (entries) => {
        const names = entries.map(([name]) => name.replace(/^"|"$/g, '').replace(/\W.*/, ''));
        const known = new RegExp(`^config file F(, line \\d+.*|: .*(${names.join('|')}).*)`, 's');
        attempt(
          () => parseConfig(entries.map(([name, given]) => `${name} = ${given}\n`).join(''), 'F'),
          known,
        );
      }),
      options,
    );
  });

  it('is taken, or refused by its place, whatever the text is', () => {
    const any = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc
        .array(
          fc.constantFrom('[', ']', '=', '"', "'", '\n', '#', '.', 'a', '{', '}', ',', '1', '-'),
        )
        .map((parts) => parts.join('')),
    );
    fc.assert(
      fc.property(any, (given) => attempt(() => parseConfig(given, 'F'), /^config file F[,:]/)),
      options,
    );
  });

  it('has no value of the wrong kind once it is taken', () => {
    fc.assert(
      fc.property(key, value, (name, given) => {
        let settings: Record<string, unknown>;
        try {
          settings = parseConfig(`${name} = ${given}`, 'F');
        } catch {
          return;
        }
        for (const each of Object.values(settings).flat()) {
          if (typeof each === 'number') assert.ok(Number.isSafeInteger(each) && each >= 0);
          else assert.equal(typeof each, 'string');
          // Patterns of images are no paths, and are read when the images are opened.
          const path = name !== 'pinned-images' && String(each).startsWith('/');
          assert.ok(!path || !String(each).includes('\0'), 'a path with a NUL');
        }
        // biome-ignore lint/suspicious/noExplicitAny: what a program could find polluted
        assert.equal(({} as any).a, undefined);
      }),
      options,
    );
  });
});

describe('flags', () => {
  it('are taken, or refused by their name, whatever they are', () => {
    const flags = fc.record(
      {
        listen: text,
        root: text,
        state: text,
        cgroupDriver: text,
        logLevel: text,
        streamAddress: text,
        metricsAddress: text,
        cniConfDir: text,
        cniBinDir: text,
      } satisfies Record<Exclude<keyof Flags, 'config'>, unknown>,
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(flags, (given) => attempt(() => loadSettings(given as Flags), /^--[a-z-]+: /)),
      options,
    );
  });

  it('that name no directory do not mean the one where the caller stands', () => {
    for (const flags of [{ root: '' }, { state: '' }, { cniBinDir: '/a::/b' }]) {
      assert.throws(() => loadSettings(flags), { kind: 'InvalidArgument' });
    }
    assert.equal(loadSettings({ root: '/a:b' }).runtime.root, '/a:b');
  });
});
