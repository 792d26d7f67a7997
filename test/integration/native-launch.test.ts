import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as os from 'node:os';
import * as path from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { addon, isNativeError, monitorExecutable } from '../../src/native/addon.ts';
import type {
  EntryStatus,
  LaunchOptions,
  LaunchPlan,
  MonitorConnection,
  SandboxSetup,
  Step,
} from '../../src/native/types.ts';
import { ADDON_FILE, nodeChild } from '../helpers/node-child.ts';

const CLONE_NEWNS = 0x00020000;
const isRoot = process.getuid?.() === 0;
/** Not so for one that nobody has reaped yet. */
const isRunning = (pid: number) => {
  try {
    return fs.readlinkSync(`/proc/${pid}/exe`) !== '';
  } catch {
    return false;
  }
};
const quiet: LaunchOptions = { stdio: [{ type: 'null' }, { type: 'null' }, { type: 'null' }] };

describe('launch through a monitor', { skip: isRoot ? false : 'needs root' }, () => {
  let dir: string;
  let connection: MonitorConnection;
  let exits: EntryStatus[];
  let openBefore: string[];
  let pods = 0;

  before(async () => {
    dir = fs.mkdtempSync(path.join(os.tmpdir(), 'coracle-native-'));
    const bin = path.join(dir, 'root/layer/bin');
    fs.mkdirSync(bin, { recursive: true });
    fs.copyFileSync('/bin/busybox', path.join(bin, 'busybox'));
    for (const name of [
      'sh',
      'cat',
      'echo',
      'sleep',
      'true',
      'hostname',
      'id',
      'readlink',
      'ls',
      'wc',
      'cut',
    ]) {
      fs.symlinkSync('busybox', path.join(bin, name));
    }
    fs.mkdirSync(path.join(dir, 'exits'));
    // The pool's threads and what they open once are not a leak.
    await Promise.all(Array.from({ length: 8 }, () => addon.runFileOps([])));
    openBefore = descriptors();
  });

  beforeEach(async () => {
    connection = start(`pod${++pods}`);
    exits = [];
    connection.onExit = (status) => exits.push(status);
    await connection.sandbox(sandbox());
  });

  afterEach(async () => {
    await connection.shutdown().catch(() => {});
    connection.close();
  });

  after(async () => {
    for (let i = 0; i < 100 && leaked().length > 0; i++) await sleep(10);
    fs.rmSync(dir, { recursive: true, force: true });
    assert.deepEqual(leaked(), []);
  });

  function descriptors(): string[] {
    return fs.readdirSync('/proc/self/fd').map((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return 'the listing itself';
      }
    });
  }

  /** Descriptors opened since the start, but for those of the loop and the loader. */
  function leaked(): string[] {
    const rest = [...openBefore];
    return descriptors()
      .filter((name) => {
        const at = rest.indexOf(name);
        if (at >= 0) rest.splice(at, 1);
        return (
          at < 0 && /socket|pipe|pidfd|memfd|coracle-native/.test(name) && !/sealed/.test(name)
        );
      })
      .filter((name) => !name.includes('memfd:coracle-monitor'));
  }

  function socketOf(pod: string): string {
    // Longer than sun_path.
    const sockets = path.join(dir, 'state', 'p'.repeat(120), pod);
    fs.mkdirSync(sockets, { recursive: true });
    return path.join(sockets, 'monitor.sock');
  }

  function start(podId: string): MonitorConnection {
    const socket = socketOf(podId);
    return addon.startMonitor({ executable: monitorExecutable(), podId, socket });
  }

  function sandbox(changes: Partial<SandboxSetup> = {}): SandboxSetup {
    return {
      net: true,
      ipc: true,
      uts: true,
      sharedPid: false,
      attached: true,
      hostname: 'pod-host',
      shmSize: 1 << 20,
      sysctls: [],
      rootDir: path.join(dir, 'root'),
      exitDir: path.join(dir, 'exits'),
      ...changes,
    };
  }

  function container(id: string, argv: string[], extra: Step[] = []): LaunchPlan {
    for (const name of [`up-${id}`, `work-${id}`]) {
      fs.mkdirSync(path.join(dir, 'root', name), { recursive: true });
    }
    return {
      id,
      parent: '',
      exec: false,
      cloneFlags: CLONE_NEWNS,
      pidMode: 'new',
      terminal: false,
      intoCgroup: '',
      killCgroup: '',
      killCgroupOnExit: false,
      steps: [
        { op: 'overlay', lower: ['layer'], upper: `up-${id}`, work: `work-${id}`, options: '' },
        { op: 'mount', type: 'proc', source: 'proc', target: '/proc', attributes: 14, options: '' },
        ...extra,
        { op: 'pivot', readonly: false },
        { op: 'user', user: '', group: '', mergeGroups: true, extraGroups: [7] },
        { op: 'cwd', path: '/', create: false },
        { op: 'execve', argv, env: ['PATH=/bin'] },
      ],
    };
  }

  function exec(id: string, parent: string, argv: string[]): LaunchPlan {
    return {
      ...container(id, argv),
      parent,
      exec: true,
      cloneFlags: 0,
      pidMode: 'target',
      steps: [
        { op: 'joinNamespaces', flags: CLONE_NEWNS },
        { op: 'cwd', path: '/', create: false },
        { op: 'execve', argv, env: ['PATH=/bin'] },
      ],
    };
  }

  async function exitOf(id: string): Promise<EntryStatus> {
    for (let i = 0; i < 500; i++) {
      const found = exits.find((status) => status.id === id);
      if (found !== undefined) return found;
      await sleep(10);
    }
    throw new Error(`no exit of ${id} within 5 s`);
  }

  async function readAll(fd: number | undefined): Promise<string> {
    assert.ok(fd !== undefined);
    const chunks: Buffer[] = [];
    try {
      for (let i = 0; i < 500; ) {
        const buffer = Buffer.alloc(65536);
        let count: number;
        try {
          count = fs.readSync(fd, buffer);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
          i++;
          await sleep(10);
          continue;
        }
        if (count === 0) return Buffer.concat(chunks).toString();
        chunks.push(buffer.subarray(0, count));
      }
      throw new Error('no end of file within 5 s');
    } finally {
      fs.closeSync(fd);
    }
  }

  it('should say hello with the pid that started the socket', async () => {
    const hello = await connection.hello();
    assert.deepEqual(hello, {
      version: 5,
      pid: connection.pid,
      pod: `pod${pods}`,
      hasSandbox: true,
    });
    assert.equal(fs.statSync(socketOf(`pod${pods}`)).mode & 0o777, 0o600);
  });

  it('should run a process with pipes and report its exit', async () => {
    const script = 'cat; hostname; id -G; echo err >&2; exit 3';
    const plan = addon.preparePlan(container('c1', ['sh', '-c', script]));
    const launched = await connection.launch(plan, {
      stdio: [{ type: 'pipe' }, { type: 'pipe' }, { type: 'pipe' }],
    });
    assert.ok(launched.pid > 1);
    assert.deepEqual([launched.uid, launched.gid, launched.warnings], [0, 0, []]);
    assert.ok(launched.groups.includes(7));
    assert.equal((await connection.state())[0]?.state, 'parked');
    const { clone = 0, mounts = 0, process = 0, exec: none, ...others } = launched.times;
    assert.ok(clone > 0 && mounts > 0 && process > 0, 'each part took time');
    assert.deepEqual(
      [none, Object.keys(others).filter((name) => name !== 'cgroup')],
      [undefined, []],
    );
    const { startedAt, times } = await connection.start('c1');
    assert.deepEqual(Object.keys(times), ['exec']);
    assert.ok((times.exec ?? 0) > 0);
    const [stdin, stdout, stderr] = launched.pipes;
    assert.ok(stdin !== undefined);
    fs.writeSync(stdin, 'from stdin\n');
    fs.closeSync(stdin);
    assert.equal(await readAll(stdout), 'from stdin\npod-host\n0 7\n');
    assert.equal(await readAll(stderr), 'err\n');
    const exit = await exitOf('c1');
    assert.equal(exit.exitCode, 3);
    assert.equal(exit.signal, 0);
    assert.equal(exit.pid, launched.pid);
    assert.equal(exit.startedAt, startedAt);
    assert.ok(exit.finishedAt >= startedAt);
    await connection.delete('c1');
    assert.deepEqual(await connection.state(), []);
  });

  it('should launch one prepared plan many times', async () => {
    const plan = addon.preparePlan(container('again', ['true']));
    for (let i = 0; i < 5; i++) {
      await connection.launch(plan, { ...quiet, startAtOnce: true });
      assert.equal((await exitOf('again')).exitCode, 0);
      exits.length = 0;
      await connection.delete('again');
    }
  });

  it('should exec into a running container', async () => {
    await connection.launch(addon.preparePlan(container('c1', ['sleep', '60'])), quiet);
    await connection.start('c1');
    const launched = await connection.launch(
      addon.preparePlan(exec('e1', 'c1', ['sh', '-c', 'readlink /proc/1/exe; exit 9'])),
      { stdio: [{ type: 'null' }, { type: 'pipe' }, { type: 'null' }], startAtOnce: true },
    );
    assert.equal(await readAll(launched.pipes[1]), '/bin/busybox\n');
    assert.deepEqual(
      Object.keys(launched.times),
      ['clone', 'process', 'exec'],
      'it mounts nothing',
    );
    const exit = await exitOf('e1');
    assert.deepEqual([exit.exitCode, exit.exec], [9, true]);
    await connection.signal('c1', 9, false);
    assert.deepEqual([(await exitOf('c1')).signal, (await exitOf('c1')).exitCode], [9, 137]);
    await assert.rejects(connection.signal('c1', 9, false), { code: 'ESRCH' });
  });

  it('should run a command to its end in one request', async () => {
    await connection.launch(addon.preparePlan(container('c1', ['sleep', '60'])), quiet);
    await connection.start('c1');
    const plan = addon.preparePlan(exec('any', 'c1', ['false']));
    const run = (id: string, argv: string[], maxOutput = 1 << 20) =>
      connection.run(plan, { id, argv, maxOutput });
    const told = await run('r1', ['sh', '-c', 'echo out; echo err >&2; exit 9']);
    assert.deepEqual(
      [told.exitCode, told.stdout?.toString(), told.stderr?.toString()],
      [9, 'out\n', 'err\n'],
    );
    assert.deepEqual(Object.keys(told.times), ['clone', 'process']);
    assert.ok(told.lasted >= (told.times.clone ?? 0) + (told.times.process ?? 0));
    assert.deepEqual([told.stdoutRest, told.stderrRest], [undefined, undefined]);
    const silent = await run('r1', ['true']);
    assert.deepEqual([silent.exitCode, silent.stdout, silent.stderr], [0, undefined, undefined]);
    assert.equal((await run('r1', ['sh', '-c', 'kill -9 $$'])).exitCode, 137);
    const program = fs.readFileSync('/bin/busybox');
    const much = await run('r1', ['busybox', 'cat', '/bin/busybox'], program.length);
    assert.ok(much.stdout?.equals(program), 'more than a pipe holds is whole');
    const cut = await run('r1', ['busybox', 'cat', '/bin/busybox'], 100);
    assert.deepEqual([cut.exitCode, cut.stdout], [0, program.subarray(0, 100)]);
    assert.deepEqual(
      (await connection.state()).map(({ id }) => id),
      ['c1'],
      'nothing is left of them',
    );
    assert.deepEqual(exits, [], 'nobody but the caller is told');
  });

  it('should end a run that is deleted, and tell why one cannot run', async () => {
    await connection.launch(addon.preparePlan(container('c1', ['sleep', '60'])), quiet);
    await connection.start('c1');
    const plan = addon.preparePlan(exec('any', 'c1', ['false']));
    const options = { id: 'r1', argv: ['sleep', '60'], maxOutput: 1 };
    const running = connection.run(plan, options).then(
      ({ exitCode }) => exitCode,
      ({ code }: { code: string }) => code,
    );
    await assert.rejects(connection.run(plan, options), { code: 'EEXIST' });
    let states: string[] = [];
    while (!states.includes('r1 running')) {
      states = (await connection.state()).map(({ id, state }) => `${id} ${state}`);
    }
    await assert.rejects(connection.start('r1'), { code: 'EALREADY' });
    await connection.delete('r1');
    const end = await running;
    assert.ok(end === 137 || end === 'ECANCELED', `${end}: as it had begun to run, or not`);
    const missing = { ...options, argv: ['/no/such/program'] };
    await assert.rejects(connection.run(plan, missing), { step: 'exec', code: 'ENOENT' });
    const process = addon.preparePlan(container('c2', ['true']));
    await assert.rejects(connection.run(process, options), { code: 'EINVAL' });
    const orphan = addon.preparePlan(exec('any', 'c2', ['true']));
    await assert.rejects(connection.run(orphan, options), { code: 'ESRCH' });
    const nothing = { ...options, argv: [] };
    await assert.rejects(connection.run(plan, nothing), {
      name: 'TypeError',
      message: /options.argv/,
    });
    assert.deepEqual(
      (await connection.state()).map(({ id }) => id),
      ['c1'],
    );
  });

  it('should hand the caller its own descriptor, bind mounts and logs', async () => {
    const file = path.join(dir, 'host-file');
    const log = path.join(dir, 'c1.log');
    fs.writeFileSync(file, 'bound');
    const bind = (source: string, target: string): Step => ({
      op: 'bind',
      source,
      recursive: false,
      target,
      attributesSet: 1,
      attributesClear: 0,
      recursiveAttributes: false,
      propagation: 0,
    });
    const out = fs.openSync(path.join(dir, 'out'), 'w');
    const script = 'cat /etc/bound; ls /mnt >&2; echo x > /mnt/x';
    const steps = [bind(file, '/etc/bound'), bind(path.join(dir, 'root/layer'), '/mnt')];
    const plan = addon.preparePlan(container('c1', ['sh', '-c', script], steps));
    const launch = connection.launch(plan, {
      stdio: [{ type: 'null' }, { type: 'fd', fd: out }, { type: 'log' }],
      log: { type: 'cri', path: log, maxLine: 16384 },
      startAtOnce: true,
    });
    fs.closeSync(out);
    await launch;
    assert.equal((await exitOf('c1')).exitCode, 1);
    assert.equal(fs.readFileSync(path.join(dir, 'out'), 'utf8'), 'bound');
    const lines = fs.readFileSync(log, 'utf8').split('\n');
    assert.match(lines[0] ?? '', /^\d{4}-\S+Z stderr F bin$/);
    assert.match(lines[1] ?? '', /Read-only file system$/);
    assert.equal(fs.statSync(log).mode & 0o777, 0o640);
    fs.renameSync(log, `${log}.1`);
    await connection.reopenLog('c1', log);
    assert.equal(fs.existsSync(log), true);
  });

  it('should carry a plan larger than a message', async () => {
    const big = Array.from({ length: 40 }, (_, i) => `V${i}=${'x'.repeat(4096)}`);
    const plan = container('c1', ['sh', '-c', 'exit $(echo "$V39" | wc -c | cut -c1)']);
    const last = plan.steps.at(-1);
    assert.ok(last?.op === 'execve');
    last.env = ['PATH=/bin', ...big];
    const prepared = addon.preparePlan(plan);
    assert.ok(prepared.bytes > 160_000);
    await connection.launch(prepared, { ...quiet, startAtOnce: true });
    assert.equal((await exitOf('c1')).exitCode, 4);
  });

  it('should say what failed, on what and why', async () => {
    const reject = (plan: LaunchPlan, options: LaunchOptions, message: RegExp) =>
      assert.rejects(connection.launch(addon.preparePlan(plan), options), { message });
    const source = path.join(dir, 'no-such');
    const bind: Step = {
      op: 'bind',
      source,
      recursive: true,
      target: '/x',
      attributesSet: 0,
      attributesClear: 0,
      recursiveAttributes: false,
      propagation: 0,
    };
    await reject(container('c1', ['true'], [bind]), quiet, /^open mount source .*no-such: no such/);
    const log = { type: 'cri', path: path.join(dir, 'no/dir'), maxLine: 100 } as const;
    await reject(container('c1', ['true']), { ...quiet, log }, /^open log .*no\/dir: no such file/);
    const many = Array.from({ length: 260 }, () => ({ ...bind, source: dir }));
    await reject(
      container('c1', ['true'], many),
      quiet,
      /^a launch may use at most 244 .*not 260$/,
    );
    await assert.rejects(
      connection.launch(addon.preparePlan(container('c1', ['true'])), {
        stdio: [{ type: 'fd', fd: 9999 }, { type: 'null' }, { type: 'null' }],
      }),
      { message: 'duplicate options.stdio[0].fd: bad file descriptor', code: 'EBADF' },
    );
    await assert.rejects(connection.launch({ bytes: 1 } as never, quiet), {
      name: 'TypeError',
      message: 'plan must be a PreparedPlan',
    });
    assert.deepEqual(await connection.state(), []);
    await connection.launch(addon.preparePlan(container('c2', ['/no/such'])), quiet);
    await assert.rejects(connection.start('c2'), {
      step: 'exec',
      code: 'ENOENT',
      message: 'exec /no/such: no such file or directory',
    });
    await assert.rejects(connection.start('nobody'), { path: 'nobody' });
  });

  it('should find the pod again after a reconnect', async () => {
    connection.close();
    const pod = `pod${++pods}`;
    connection = start(pod);
    const monitor = connection.pid;
    await connection.sandbox(sandbox({ attached: false }));
    await connection.launch(addon.preparePlan(container('c1', ['sleep', '60'])), quiet);
    await connection.start('c1');
    connection.close();
    await assert.rejects(connection.state(), { step: 'monitor connection', code: 'ENOTCONN' });
    connection = addon.connectMonitor(socketOf(pod));
    assert.equal(connection.pid, monitor);
    connection.onExit = (status) => exits.push(status);
    const [entry] = await connection.state();
    assert.deepEqual([entry?.id, entry?.state, entry?.exitCode], ['c1', 'running', 0]);
    await connection.signal('c1', 15, false);
    await connection.delete('c1');
  });

  it('should reject what is pending and say so once when the monitor dies', async () => {
    let closed = 0;
    const gone = new Promise<void>((done) => {
      connection.onClose = () => {
        closed++;
        done();
      };
    });
    const monitor = connection.pid;
    await connection.hello();
    process.kill(monitor, 'SIGSTOP');
    const pending = Promise.allSettled([connection.state(), connection.hello()]);
    process.kill(monitor, 'SIGKILL');
    for (const outcome of await pending) {
      assert.ok(outcome.status === 'rejected' && isNativeError(outcome.reason));
      assert.deepEqual(
        [outcome.reason.step, outcome.reason.code],
        ['monitor connection', 'ECONNRESET'],
      );
    }
    await gone;
    await assert.rejects(connection.hello(), { code: 'ENOTCONN' });
    assert.equal(closed, 1);
    // Reaped, not left as a zombie.
    for (let i = 0; i < 100 && fs.existsSync(`/proc/${monitor}`); i++) await sleep(10);
    assert.equal(fs.existsSync(`/proc/${monitor}`), false);
  });

  it('should make sockets inside the pod', async () => {
    const fd = await connection.socket(16, 3, 0);
    assert.match(fs.readlinkSync(`/proc/self/fd/${fd}`), /^socket:/);
    fs.closeSync(fd);
    await assert.rejects(connection.socket(999, 1, 0), { code: 'EAFNOSUPPORT' });
  });

  it('should refuse a socket path in use and leave none behind on failure', async () => {
    const pod = `pod${pods}`;
    assert.throws(() => start(pod), { step: 'bind monitor socket', code: 'EADDRINUSE' });
    const socket = socketOf('bad');
    assert.throws(() => addon.startMonitor({ executable: '/etc/passwd', podId: 'bad', socket }), {
      message: 'exec /etc/passwd: exec format error',
    });
    assert.equal(fs.existsSync(socket), false);
    assert.throws(() => addon.connectMonitor(socket), {
      code: 'ENOENT',
      step: 'connect to monitor',
    });
  });

  it('should let worker threads end with live connections, the addon unloaded with them', async () => {
    // The main thread does not load the addon, so that it goes away with each worker.
    const inWorker = `
      const { parentPort, workerData } = require('node:worker_threads');
      const addon = require(${JSON.stringify(ADDON_FILE)});
      const connection = addon.startMonitor(workerData);
      connection.onClose = () => {};
      connection.hello().then(() => {
        addon.spawn({ file: '/bin/sleep', argv: ['sleep', '50'], env: [], timeoutMs: 60000 });
        addon.runFileOps([]);
        process.kill(connection.pid, 'SIGSTOP');
        connection.state();
        setTimeout(() => parentPort.postMessage(connection.pid), 50);
      });`;
    const spawns = [1, 2, 3].map((number) => ({
      executable: monitorExecutable(),
      podId: `worker${number}`,
      socket: socketOf(`worker${number}`),
    }));
    const code = `
      const { Worker } = require('node:worker_threads');
      (async () => {
        for (const workerData of ${JSON.stringify(spawns)}) {
          const worker = new Worker(${JSON.stringify(inWorker)}, { eval: true, workerData });
          const pid = await new Promise((resolve, reject) => {
            worker.on('message', resolve).on('error', reject);
          });
          await worker.terminate();
          process.kill(pid, 'SIGKILL');
        }
        console.log('done', require('node:fs').readdirSync('/proc/self/fd')
          .map((fd) => { try { return require('node:fs').readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } })
          .filter((name) => /memfd|pidfd/.test(name)).length);
      })();`;
    const result = await nodeChild(code);
    assert.deepEqual([result.exitCode, result.stdout], [0, 'done 0\n'], result.stderr);
  });

  it('should let the process exit with promises pending, and idle connections not hold it', async () => {
    const module = JSON.stringify(new URL('../../src/native/addon.ts', import.meta.url).href);
    const run = (pod: string, ending: string) => {
      const spawnOptions = JSON.stringify({
        executable: monitorExecutable(),
        podId: pod,
        socket: socketOf(pod),
      });
      const code = `import(${module}).then(async ({ addon }) => {
        const connection = addon.startMonitor(${spawnOptions});
        await connection.hello();
        console.log(connection.pid);
        ${ending}
      })`;
      return addon.spawn({
        file: process.execPath,
        argv: ['node', '--import', 'tsx', '-e', code],
        env: [`PATH=${process.env.PATH}`],
        cwd: process.cwd(),
        timeoutMs: 20_000,
      });
    };
    const pending = `process.kill(connection.pid, 'SIGSTOP'); connection.state();
      addon.runFileOps([]); setImmediate(() => process.exit(5));`;
    for (const [pod, ending, expected] of [
      ['exit', pending, 5],
      ['idle', '', 0],
    ] as const) {
      const result = await run(pod, ending);
      assert.equal(result.exitCode, expected, result.stderr);
      const pid = Number(result.stdout);
      if (ending === pending) process.kill(pid, 'SIGKILL');
      // One that is no pod yet ends with its last connection.
      while (isRunning(pid)) await sleep(10);
    }
  });
});
