import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Step } from '../../src/native/types.ts';
import type { CgroupLayout } from '../../src/runtime/cgroup/layout.ts';
import { execPlan } from '../../src/runtime/plan/exec-plan.ts';
import { type LaunchContext, launchPlan } from '../../src/runtime/plan/launch-plan.ts';
import { parseMountOptions } from '../../src/runtime/plan/mount-options.ts';
import type { ContainerConfig, SandboxConfig } from '../../src/spec/config.ts';
import { containerSpec } from '../../src/spec/container-spec.ts';
import { HYBRID, V1, V2 } from '../helpers/cgroup-layouts.ts';
import { specInput } from '../helpers/spec-input.ts';

const PROGRAM = new Uint8Array(8);

interface Change {
  container?: Partial<ContainerConfig>;
  sandbox?: Partial<SandboxConfig>;
  cgroup?: CgroupLayout;
  context?: Partial<LaunchContext>;
}

function specOf(change: Change) {
  const cgroup = (change.cgroup ?? HYBRID).mode;
  return containerSpec(
    specInput({
      container: change.container ?? {},
      sandbox: { privileged: true, ...change.sandbox },
      host: { cgroup },
    }),
  );
}

function planOf(change: Change = {}) {
  return launchPlan(specOf(change), {
    id: 'c1',
    cgroup: change.cgroup ?? HYBRID,
    snapshot: { lower: ['layers/b', 'layers/a'], upper: 's/upper', work: 's/work' },
    pidMode: 'new',
    seccompProgram: PROGRAM,
    ...change.context,
  });
}

const ops = (steps: Step[]) => steps.map(({ op }) => op);
const first = (steps: Step[], op: Step['op']) => ops(steps).indexOf(op);
const last = (steps: Step[], op: Step['op']) => ops(steps).lastIndexOf(op);
function target(steps: Step[], path: string): Step {
  const found = steps.find((step) => 'target' in step && step.target === path);
  assert.ok(found, path);
  return found;
}

/** Every step of `before` that there is comes before every one of `after`. */
function ordered(steps: Step[], before: Step['op'], after: Step['op']): void {
  if (first(steps, before) < 0 || first(steps, after) < 0) return;
  assert.ok(last(steps, before) < first(steps, after), `${before} before ${after}`);
}

describe('launch plan', () => {
  const config = fc.record({
    tty: fc.boolean(),
    workingDir: fc.constantFrom('/', '/srv'),
    mounts: fc.subarray([
      { containerPath: '/data', hostPath: '/h' },
      { containerPath: '/dev', hostPath: '/dev' },
      { containerPath: '/sys/fs/cgroup', hostPath: '/h' },
    ]),
    rlimits: fc.subarray([{ type: 'RLIMIT_NOFILE', soft: 10, hard: 20 }]),
    security: fc.record({
      privileged: fc.boolean(),
      noNewPrivs: fc.boolean(),
      readonlyRootfs: fc.boolean(),
      runAsUser: fc.constantFrom(0, 1000),
    }),
  });
  const layout = fc.constantFrom(V1, HYBRID, V2);

  it('should keep the order that security rests on, whatever is asked for', () => {
    fc.assert(
      fc.property(config, layout, (container, cgroup) => {
        const { steps } = planOf({ container, cgroup });
        const pairs: [Step['op'], Step['op']][] = [
          // In its cgroup before its cgroup namespace takes that as the root.
          ['joinCgroup', 'unshare'],
          ['unshare', 'overlay'],
          ['overlay', 'mount'],
          ['overlay', 'mkdir'],
          ['mount', 'console'],
          ['bind', 'console'],
          ['mount', 'pivot'],
          ['bind', 'pivot'],
          ['console', 'pivot'],
          ['mkdir', 'pivot'],
          ['mask', 'pivot'],
          ['readonlyPath', 'pivot'],
          ['pivot', 'user'],
          ['rlimit', 'user'],
          ['oomScoreAdj', 'user'],
          // A filter cannot be told the umask of the container later.
          ['umask', 'seccomp'],
          ['user', 'cwd'],
          ['cwd', 'capabilities'],
          ['capabilities', 'noNewPrivs'],
          ['capabilities', 'execve'],
        ];
        for (const [before, after] of pairs) ordered(steps, before, after);
        assert.equal(steps.at(-1)?.op, 'execve');
        for (const once of ['overlay', 'pivot', 'user', 'capabilities', 'cwd', 'execve'] as const) {
          assert.equal(first(steps, once), last(steps, once), once);
          assert.ok(first(steps, once) >= 0, once);
        }
      }),
    );
  });

  it('should load a filter while it may, and as late as it can', () => {
    const of = (noNewPrivs: boolean) =>
      ops(planOf({ container: { security: { noNewPrivs } } }).steps);
    assert.deepEqual(of(false).slice(-5), ['user', 'cwd', 'seccomp', 'capabilities', 'execve']);
    assert.deepEqual(of(true).slice(-6), [
      'user',
      'cwd',
      'capabilities',
      'noNewPrivs',
      'seccomp',
      'execve',
    ]);
  });

  it('should never launch without the filter that the specification has', () => {
    const spec = specOf({});
    assert.throws(
      () =>
        launchPlan(spec, {
          id: 'c',
          cgroup: V2,
          snapshot: { lower: ['l'], upper: 'u', work: 'w' },
          pidMode: 'new',
        }),
      /is not compiled/,
    );
    const free = planOf({ container: { security: { seccomp: { type: 'unconfined' } } } });
    assert.equal(first(free.steps, 'seccomp'), -1);
  });

  it('should furnish /dev right after its tmpfs, with links and nodes', () => {
    const { steps } = planOf();
    const dev = steps.findIndex((step) => step.op === 'mount' && step.target === '/dev');
    const pts = steps.findIndex((step) => step.op === 'mount' && step.target === '/dev/pts');
    const between = steps.slice(dev + 1, pts);
    assert.deepEqual(
      between.map((step) => ('target' in step ? `${step.op} ${step.target}` : step.op)),
      [
        'mknod /dev/null',
        'mknod /dev/zero',
        'mknod /dev/full',
        'mknod /dev/random',
        'mknod /dev/urandom',
        'mknod /dev/tty',
        'symlink /dev/ptmx',
        'symlink /dev/fd',
        'symlink /dev/stdin',
        'symlink /dev/stdout',
        'symlink /dev/stderr',
      ],
    );
    assert.deepEqual(target(steps, '/dev/null'), {
      op: 'mknod',
      target: '/dev/null',
      mode: 0o020666,
      major: 1,
      minor: 3,
      uid: 0,
      gid: 0,
    });
  });

  it("should make nothing in a /dev that is the host's", () => {
    const { steps } = planOf({
      container: { mounts: [{ containerPath: '/dev', hostPath: '/dev' }] },
    });
    assert.equal(first(steps, 'mknod'), -1);
    const links = steps.filter((step) => step.op === 'symlink' && step.target.startsWith('/dev/'));
    assert.deepEqual(links, []);
  });

  it('should carry a mount source as it is, for the launch to open', () => {
    const { steps } = planOf({
      container: {
        mounts: [
          { containerPath: '/v', hostPath: '/missing', readonly: true, propagation: 'rslave' },
        ],
      },
    });
    assert.deepEqual(target(steps, '/v'), {
      op: 'bind',
      source: '/missing',
      recursive: true,
      target: '/v',
      attributesSet: 1,
      attributesClear: 0,
      recursiveAttributes: false,
      propagation: 1 << 19,
    });
  });

  it('should mount images inside, with the flags that are asked for', () => {
    const content = { layers: ['layers/2/fs', 'layers/1/fs'], subPath: 'a/b' };
    const spec = containerSpec(
      specInput({
        container: {
          mounts: [{ containerPath: '/m', image: { name: 'i' }, flags: ['noexec'] }],
        },
        rest: { images: new Map([[0, content]]) },
      }),
    );
    const { steps } = launchPlan(spec, {
      id: 'c1',
      cgroup: HYBRID,
      snapshot: { lower: ['layers/a'], upper: 'u', work: 'w' },
      pidMode: 'new',
      seccompProgram: PROGRAM,
    });
    assert.deepEqual(target(steps, '/m'), {
      op: 'imageMount',
      lower: content.layers,
      subPath: 'a/b',
      target: '/m',
      attributes: 2 | 4 | 8,
    });
    ordered(steps, 'imageMount', 'pivot');
  });

  it('should make a mount recursively read-only with its flags', () => {
    const flags = ['noexec', 'nodev'] as const;
    const mount = { containerPath: '/v', hostPath: '/h', readonly: true, recursiveReadonly: true };
    const { steps } = planOf({ container: { mounts: [{ ...mount, flags: [...flags] }] } });
    const step = target(steps, '/v');
    assert.ok(step.op === 'bind' && step.recursiveAttributes && step.recursive);
    assert.equal(step.attributesSet, 1 | 4 | 8);
  });

  it('should take on a profile of AppArmor, an exec as well, before giving up new privileges', () => {
    const spec = containerSpec(
      specInput({
        container: { security: { noNewPrivs: true } },
        rest: { apparmorProfile: 'web' },
      }),
    );
    const context = { cgroup: HYBRID, pidMode: 'new' as const, seccompProgram: PROGRAM };
    const snapshot = { lower: ['layers/a'], upper: 'u', work: 'w' };
    const options = { id: 'e', parentId: 'c1', argv: ['sh'], tty: false };
    for (const { steps } of [
      launchPlan(spec, { id: 'c1', snapshot, ...context }),
      execPlan(spec, options, context),
    ]) {
      const step = steps.find(({ op }) => op === 'lsmProfile');
      assert.deepEqual(step, { op: 'lsmProfile', module: 'apparmor', value: 'exec web' });
      ordered(steps, 'lsmProfile', 'noNewPrivs');
    }
    assert.equal(first(planOf().steps, 'lsmProfile'), -1);
  });

  it("should attach the pod's shared memory, or bind the host's", () => {
    assert.equal(target(planOf().steps, '/dev/shm').op, 'podShm');
    const host = planOf({ sandbox: { namespaces: { ipc: 'node' } } });
    assert.equal(target(host.steps, '/dev/shm').op, 'bind');
  });

  it('should show the cgroups as the host has them', () => {
    const under = (cgroup: CgroupLayout, container: Partial<ContainerConfig> = {}) =>
      planOf({ cgroup, container }).steps.flatMap((step) =>
        'target' in step && step.target.startsWith('/sys/fs/cgroup')
          ? [
              `${step.op} ${step.target}${step.op === 'mount' ? ` ${step.type} ${step.options}` : ''}`.trim(),
            ]
          : [],
      );
    assert.deepEqual(under(V2), ['mount /sys/fs/cgroup cgroup2']);
    const hybrid = [
      'mount /sys/fs/cgroup tmpfs mode=755',
      'mount /sys/fs/cgroup/cpu,cpuacct cgroup cpu,cpuacct',
      'symlink /sys/fs/cgroup/cpu',
      'symlink /sys/fs/cgroup/cpuacct',
      'mount /sys/fs/cgroup/cpuset cgroup cpuset',
      'mount /sys/fs/cgroup/memory cgroup memory',
      'mount /sys/fs/cgroup/devices cgroup devices',
      'mount /sys/fs/cgroup/pids cgroup pids',
      'mount /sys/fs/cgroup/systemd cgroup none,name=systemd',
      'mount /sys/fs/cgroup/unified cgroup2',
    ];
    assert.deepEqual(under(HYBRID), [...hybrid, 'readonlyPath /sys/fs/cgroup']);
    assert.deepEqual(under(HYBRID, { security: { privileged: true } }), hybrid);
  });

  it('should make a missing working directory while the root can be written', () => {
    const { steps } = planOf({
      container: { workingDir: '/srv/app', security: { readonlyRootfs: true } },
    });
    assert.equal(target(steps, '/srv/app').op, 'mkdir');
    assert.deepEqual(
      steps.find(({ op }) => op === 'cwd'),
      { op: 'cwd', path: '/srv/app', create: false },
    );
    assert.deepEqual(
      steps.find(({ op }) => op === 'pivot'),
      { op: 'pivot', readonly: true },
    );
    assert.equal(first(planOf().steps, 'mkdir'), -1);
  });

  it('should be in its cgroups by tasks files on v1 and by the clone on v2', () => {
    const v1 = planOf({ cgroup: V1 });
    assert.equal(v1.steps.filter(({ op }) => op === 'joinCgroup').length, 6);
    assert.equal(v1.intoCgroup, '');
    assert.equal(v1.killCgroup, '/sys/fs/cgroup/pids/coracle/pod/ctr/cgroup.procs');
    const v2 = planOf({ cgroup: V2 });
    assert.equal(first(v2.steps, 'joinCgroup'), -1);
    assert.equal(v2.intoCgroup, '/sys/fs/cgroup/coracle/pod/ctr');
    assert.equal(v2.killCgroup, '/sys/fs/cgroup/coracle/pod/ctr/cgroup.kill');
    assert.equal(v2.cloneFlags, 0x20000);
  });

  for (const [pidMode, kills] of [
    ['new', false],
    ['pod', true],
    ['target', true],
    ['host', true],
  ] as const) {
    it(`should ${kills ? '' : 'not '}end the others with the first process in mode ${pidMode}`, () => {
      const plan = planOf({ context: { pidMode, target: 't1' } });
      assert.equal(plan.killCgroupOnExit, kills);
      assert.equal(plan.parent, pidMode === 'target' ? 't1' : '');
    });
  }

  it('should have a console with a terminal', () => {
    const plan = planOf({ container: { tty: true } });
    assert.ok(plan.terminal);
    assert.deepEqual(
      plan.steps.find(({ op }) => op === 'console'),
      {
        op: 'console',
        rows: 24,
        cols: 80,
        bindConsole: true,
      },
    );
    assert.equal(first(planOf().steps, 'console'), -1);
  });

  it('should turn limits and capabilities to numbers', () => {
    const { steps } = planOf({
      container: {
        rlimits: [{ type: 'RLIMIT_NOFILE', soft: 10, hard: -1 }],
        security: { dropCapabilities: ['ALL'], addCapabilities: ['CHOWN', 'SYS_ADMIN'] },
      },
    });
    assert.deepEqual(
      steps.find(({ op }) => op === 'rlimit'),
      {
        op: 'rlimit',
        resource: 7,
        soft: 10n,
        hard: 0xffff_ffff_ffff_ffffn,
        clamp: true,
      },
    );
    assert.deepEqual(
      steps.find(({ op }) => op === 'capabilities'),
      {
        op: 'capabilities',
        bounding: 0x200001n,
        effective: 0x200001n,
        permitted: 0x200001n,
        inheritable: 0n,
        ambient: 0n,
      },
    );
  });

  it('should protect paths before it masks one below them', () => {
    const { steps } = planOf();
    assert.ok(last(steps, 'readonlyPath') < first(steps, 'mask'));
  });
});

describe('mount options', () => {
  const cases: [string[], object][] = [
    [['ro', 'nosuid'], { set: 3, clear: 0, data: '' }],
    [['ro', 'rw', 'size=1'], { set: 1, clear: 0, data: 'size=1' }],
    [['nodev', 'dev'], { set: 0, clear: 4 }],
    [['rro'], { set: 1, recursiveAttributes: true }],
    [['rbind', 'rslave'], { recursive: true, propagation: 1 << 19 }],
    [['bind', 'shared'], { recursive: false, propagation: 1 << 20 }],
    [['strictatime'], { set: 0x20, clear: 0x70 }],
    [['relatime'], { set: 0, clear: 0x70 }],
    [['noatime', 'relatime'], { set: 0, clear: 0x70 }],
  ];
  for (const [options, expected] of cases) {
    it(`should read ${options.join(',')}`, () => {
      const found = parseMountOptions(options);
      assert.deepEqual({ ...found, ...expected }, found);
    });
  }
});

describe('exec plan', () => {
  const exec = (options: object = {}, change: Change = {}) =>
    execPlan(
      specOf(change),
      { id: 'e1', parentId: 'c1', argv: ['ls'], tty: false, ...options },
      { cgroup: change.cgroup ?? HYBRID, pidMode: 'new', seccompProgram: PROGRAM },
    );
  const execve = (plan: ReturnType<typeof exec>) => {
    const step = plan.steps.at(-1);
    assert.ok(step?.op === 'execve');
    return step;
  };

  it('should enter the container: cgroup, namespaces, then the same restrictions', () => {
    const plan = exec();
    assert.deepEqual(
      [plan.exec, plan.parent, plan.cloneFlags, plan.pidMode, plan.killCgroupOnExit],
      [true, 'c1', 0, 'target', false],
    );
    assert.equal(plan.intoCgroup, '/sys/fs/cgroup/unified/coracle/pod/ctr');
    assert.deepEqual(ops(plan.steps).slice(6), [
      'joinNamespaces',
      'oomScoreAdj',
      'umask',
      'user',
      'cwd',
      'seccomp',
      'capabilities',
      'execve',
    ]);
    const join = plan.steps[6];
    assert.ok(join?.op === 'joinNamespaces');
    assert.equal(join.flags, 0x4e020000);
  });

  it("should have the container's environment and its own", () => {
    const container = { env: [['A', '1']] as [string, string][] };
    const { env } = execve(
      exec(
        {
          env: [
            ['A', '2'],
            ['B', '3'],
          ],
        },
        { container },
      ),
    );
    assert.ok(env.includes('A=2') && env.includes('B=3') && !env.includes('A=1'));
    assert.ok(env.some((entry) => entry.startsWith('PATH=')));
  });

  it('should have TERM with a terminal, and no console of its own', () => {
    const plan = exec({ tty: true });
    assert.ok(execve(plan).env.includes('TERM=xterm'));
    const step = plan.steps.find(({ op }) => op === 'console');
    assert.ok(step?.op === 'console' && !step.bindConsole);
    assert.ok(plan.terminal);
    assert.ok(!execve(exec()).env.includes('TERM=xterm'));
  });

  it("should be the container's user unless another is named", () => {
    const user = (plan: ReturnType<typeof exec>) => {
      const step = plan.steps.find(({ op }) => op === 'user');
      assert.ok(step?.op === 'user');
      return [step.user, step.group];
    };
    const container = { security: { runAsUser: 5, runAsGroup: 6 } };
    assert.deepEqual(user(exec({}, { container })), ['5', '6']);
    assert.deepEqual(user(exec({ user: 'bob' }, { container })), ['bob', '']);
    assert.deepEqual(user(exec({ user: '7:8' }, { container })), ['7', '8']);
  });

  it('should refuse what it cannot do', () => {
    assert.throws(() => exec({ argv: [] }), /cmd/);
    assert.throws(() => exec({ cwd: 'x' }), /cwd: "x"/);
    assert.throws(() => exec({ user: ':5' }), /user: ":5"/);
    assert.throws(() => exec({ user: 'a:b:c' }), /user: "a:b:c"/);
    assert.throws(() => exec({ env: [['', 'x']] }), /env\[0\]/);
  });
});
