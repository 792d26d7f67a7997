/** Names and messages of others in a terminal: nothing in them is obeyed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { printable } from '../../src/observe/printable.ts';
import { CLI } from '../helpers/cli.ts';

/** Set the title; the same in one byte of C1; clear the screen; write backwards; ring. */
const HOSTILE = '\x1b]0;title\x07 \x9d0;title\x9c \x1b[2J \u202ebackwards\u202c \x7f\r\b';

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are the subject
const OBEYED = /[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

test('controls are spelled out, everything else stays', () => {
  assert.equal(
    printable(HOSTILE),
    '\\u001b]0;title\\u0007 \\u009d0;title\\u009c \\u001b[2J ' +
      '\\u202ebackwards\\u202c \\u007f\\u000d\\u0008',
  );
  const plain = 'Grüße, 世界 🎉\n\t"quoted" \\ \u00a0';
  assert.equal(printable(plain), plain);
});

test('JSON means what it meant', () => {
  const value = { [HOSTILE]: [HOSTILE] };
  const text = printable(JSON.stringify(value, null, 2));
  assert.doesNotMatch(text, OBEYED);
  assert.deepEqual(JSON.parse(text), value);
});

test('what the command line complains of is one line without them', () => {
  const root = mkdtempSync(join(tmpdir(), 'coracle-printable-'));
  try {
    const args = ['rmi', '--root', root, '--state', root, '--listen', `unix://${root}/s`];
    for (const name of [`a${HOSTILE}b`, 'x\n\x1b[2Jy']) {
      const { stderr, status } = spawnSync(process.execPath, [...CLI, ...args, name], {
        encoding: 'utf8',
      });
      assert.notEqual(status, 0);
      assert.match(stderr, /^coracle: .*\\u001b.*\n$/);
      assert.doesNotMatch(stderr, OBEYED);
    }
  } finally {
    rmSync(root, { recursive: true });
  }
});

test('so are the lines of the log', () => {
  const script =
    "import { createLogger } from './src/observe/logger.ts';" +
    'createLogger("info").info({ name: process.argv[1] }, process.argv[1]);';
  const { stderr } = spawnSync(
    process.execPath,
    ['--import', 'tsx', '--input-type=module', '-e', script, HOSTILE],
    { encoding: 'utf8', cwd: join(import.meta.dirname, '../..') },
  );
  assert.doesNotMatch(stderr, OBEYED);
  assert.equal(JSON.parse(stderr).msg, HOSTILE);
});
