import assert from 'node:assert/strict';
import { test } from 'node:test';
import { least, most, overBudget, readTrace } from '../helpers/system-calls.ts';

const TRACE = `10 openat(AT_FDCWD, "/before", O_RDONLY) = 3
10 access("/coracle-trace/start", F_OK) = -1 ENOENT (No such file or directory)
11 close(3) = 0
10 futex(0x1, FUTEX_WAIT_PRIVATE, 0, NULL <unfinished ...>
20 clone3({flags=CLONE_PIDFD}, 88) = 30
30 execve("/usr/bin/sleep", ["sleep"], 0x1) = -1 ENOENT (No such file or directory)
30 execve("/bin/sleep", ["sleep"], 0x1 <unfinished ...>
10 <... futex resumed>) = 0
30 <... execve resumed>) = 0
30 openat(AT_FDCWD, "/etc/ld.so.cache", O_RDONLY) = 3
30 --- SIGCHLD {si_signo=SIGCHLD} ---
10 access("/coracle-trace/start", F_OK) = -1 ENOENT (No such file or directory)
20 close(4) = 0
`;

test('calls are counted by who makes them, between marks, and until a program runs', () => {
  const traced = readTrace(TRACE, new Set([10, 11]));
  assert.deepEqual([...traced.keys()], ['start']);
  assert.deepEqual(traced.get('start'), [
    { server: { files: { close: 1 } }, monitor: { processes: { clone3: 1, execve: 2 } } },
  ]);
});

test('what is counted is what each time has, what is allowed is the most', () => {
  const all = [{ files: { close: 3, read: 1 } }, { files: { close: 2 }, messages: { sendmsg: 1 } }];
  assert.deepEqual(least(all), { files: { close: 2 } });
  assert.deepEqual(most(all), { files: { close: 3, read: 1 }, messages: { sendmsg: 1 } });
});

test('a class that grows beyond its allowance is named, with the calls that have grown', () => {
  const budget = { mounts: { mount: 10, open_tree: 30 }, files: { close: 1 } };
  assert.equal(overBudget(budget, budget, 0.05), undefined);
  assert.equal(overBudget(budget, { mounts: { mount: 14, open_tree: 30 } }, 0.05), undefined);
  assert.equal(
    overBudget(budget, { mounts: { mount: 14, open_tree: 30, fsopen: 1 } }, 0.05),
    'mounts: 45 calls, at most 44 are allowed (mount 14, was 10; fsopen 1, was 0)',
  );
  assert.match(overBudget(budget, { messages: { sendmsg: 3 } }, 0.05) ?? '', /^messages: 3 calls/);
});
