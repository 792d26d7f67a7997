import assert from 'node:assert/strict';
import { constants } from 'node:os';
import { describe, it } from 'node:test';
import { signalName, signalNumber } from '../../src/spec/stop-signal.ts';

describe('stop signal', () => {
  const cases: [string, number][] = [
    ['SIGTERM', 15],
    ['TERM', 15],
    ['sigterm', 15],
    ['15', 15],
    ['SIGKILL', 9],
    ['SIGRTMIN', 34],
    ['SIGRTMIN+3', 37],
    ['RTMIN+15', 49],
    ['SIGRTMAX', 64],
    ['SIGRTMAX-14', 50],
    ['SIGPOLL', 29],
    ['SIGIOT', 6],
    ['64', 64],
  ];
  for (const [text, number] of cases) {
    it(`should read ${text} as ${number}`, () => assert.equal(signalNumber(text), number));
  }

  const bad = [
    '',
    '0',
    '65',
    '-1',
    'SIGFOO',
    'SIG',
    'SIGRTMIN-1',
    'SIGRTMAX+1',
    'SIGRTMIN+31',
    '1.5',
  ];
  for (const text of bad) {
    it(`should refuse ${JSON.stringify(text)}`, () => {
      assert.throws(() => signalNumber(text, 'stopSignal'), /stopSignal: /);
    });
  }

  it("should agree with the C library's numbers", () => {
    for (const [name, number] of Object.entries(constants.signals)) {
      assert.equal(signalNumber(name), number, name);
    }
  });

  it('should name every number that it reads', () => {
    for (let number = 1; number <= 64; number += 1) {
      if (number !== 32 && number !== 33) assert.equal(signalNumber(signalName(number)), number);
    }
  });
});
