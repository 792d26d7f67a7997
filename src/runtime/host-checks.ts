import { access, constants, readFile, statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { cniChecks } from './cni-checks.ts';
import type { NetworkOptions } from './context.ts';
import type { CheckState, HostCheck } from './doctor.ts';
import { missingCapabilities } from './process-capabilities.ts';
import { recordsCheck } from './records-check.ts';
import { userNamespaceCheck } from './user-namespace-check.ts';

type Version = readonly [major: number, minor: number];

/** What the runtime is written for and tested on. */
const OLDEST_KERNEL: Version = [5, 15];

/** f_type of an overlay mount (statfs(2)). */
const OVERLAYFS_MAGIC = 0x794c7630;

/** What making a container takes, beyond which a check of its own says more. */
const NEEDED_CAPABILITIES = [
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'KILL',
  'MKNOD',
  'NET_ADMIN',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_ADMIN',
  'SYS_CHROOT',
];

/** cgroup controllers that resource limits and statistics come from. */
const CONTROLLERS = ['cpu', 'cpuset', 'memory', 'pids'];

/**
 * System calls by the kernel that brought them (man pages, section "HISTORY"). They are told by
 * version: calling them would need the addon, which must not be needed to ask what is wrong.
 */
const SYSTEM_CALLS: readonly [name: string, since: Version, use: string][] = [
  ['clone3', [5, 3], 'starts containers, straight into their cgroup on cgroup v2'],
  ['pidfd', [5, 3], 'watches processes without races'],
  ['openat2', [5, 6], 'resolves paths inside a root file system'],
  ['mount-api', [5, 2], 'makes mounts detached (fsopen, open_tree, move_mount)'],
  ['mount_setattr', [5, 12], 'sets mount attributes recursively'],
  ['cgroup.kill', [5, 14], 'kills a cgroup v2 in one write'],
];

export async function hostChecks(
  kernel: Version,
  release: string,
  options: { root?: string; state?: string; network?: NetworkOptions },
): Promise<readonly HostCheck[]> {
  const checks = await Promise.all([
    check('kernel', atLeast(kernel, OLDEST_KERNEL), `Linux ${release}`, 'degraded'),
    ...SYSTEM_CALLS.map(([name, since, use]) =>
      check(name, atLeast(kernel, since), `${use}; since Linux ${since.join('.')}`, 'missing'),
    ),
    cgroups(),
    overlayfs(),
    seccomp(),
    apparmor(),
    selinux(),
    landlock(),
    capabilities(),
    oomScoreAdj(),
    userNamespaceCheck(kernel, options.root),
    nft(),
    ...(options.root ? [rootDirectory(options.root), recordsCheck(options.root)] : []),
  ]);
  const cni = options.network ? await cniChecks(options.network) : [];
  return Object.freeze([...checks, ...cni].map((each) => Object.freeze(each)));
}

function check(name: string, ok: boolean, detail: string, otherwise: CheckState): HostCheck {
  return { name, state: ok ? 'ok' : otherwise, detail };
}

async function cgroups(): Promise<HostCheck> {
  const mounts = (await text('/proc/self/mountinfo')).split('\n').map((line) => line.split(' - '));
  const legacy = new Set(
    mounts
      .filter(([, fs]) => fs?.startsWith('cgroup '))
      .flatMap(([, fs]) => fs?.split(' ')[2]?.split(',') ?? []),
  );
  const unified = mounts.find(([, fs]) => fs?.startsWith('cgroup2 '))?.[0]?.split(' ')[4];
  const controllers = unified ? (await text(`${unified}/cgroup.controllers`)).trim() : '';
  const available = new Set([...controllers.split(' '), ...legacy]);
  const lacking = CONTROLLERS.filter((name) => !available.has(name));
  if (legacy.size === 0 && !unified) {
    return check('cgroup', false, 'no cgroup hierarchy is mounted', 'missing');
  }
  const version = legacy.size === 0 ? 'v2' : unified ? 'hybrid (v1 controllers)' : 'v1';
  if (lacking.length === 0) return check('cgroup', true, version, 'ok');
  const detail = `${version}; no ${lacking.join(', ')} controller: these limits are not enforced`;
  return check('cgroup', false, detail, 'degraded');
}

async function overlayfs(): Promise<HostCheck> {
  const loaded = /\toverlay$/m.test(await text('/proc/filesystems'));
  const detail = loaded ? 'root file systems of containers' : 'not loaded; try modprobe overlay';
  return check('overlayfs', loaded, detail, 'missing');
}

async function seccomp(): Promise<HostCheck> {
  const actions = (await text('/proc/sys/kernel/seccomp/actions_avail')).trim();
  const detail = actions ? `actions ${actions}` : 'no filters: only unconfined containers run';
  return check('seccomp', actions !== '', detail, 'missing');
}

async function apparmor(): Promise<HostCheck> {
  const on = (await text('/sys/module/apparmor/parameters/enabled')).startsWith('Y');
  const detail = on
    ? 'profiles are applied; the default one needs apparmor_parser'
    : 'not enabled: nothing to apply';
  return check('apparmor', on, detail, 'missing');
}

async function selinux(): Promise<HostCheck> {
  const mode = (await text('/sys/fs/selinux/enforce')).trim();
  const modes: Record<string, string> = { 0: 'permissive', 1: 'enforcing' };
  const on = mode !== '';
  const detail = on ? `${modes[mode] ?? mode}; Coracle applies no labels` : 'not enabled';
  return check('selinux', on, detail, 'missing');
}

async function landlock(): Promise<HostCheck> {
  const modules = (await text('/sys/kernel/security/lsm')).trim();
  if (!modules) {
    return check('landlock', false, 'unknown: securityfs is not mounted; not needed', 'degraded');
  }
  const detail = `security modules ${modules}; not needed`;
  return check('landlock', modules.split(',').includes('landlock'), detail, 'missing');
}

async function capabilities(): Promise<HostCheck> {
  const lacking = missingCapabilities(await text('/proc/self/status'), NEEDED_CAPABILITIES);
  const detail =
    lacking.length === 0 ? 'all that containers need' : `this process lacks ${lacking.join(', ')}`;
  return check('capabilities', lacking.length === 0, detail, 'missing');
}

async function oomScoreAdj(): Promise<HostCheck> {
  const own = (await text('/proc/self/oom_score_adj')).trim();
  const may = missingCapabilities(await text('/proc/self/status'), ['SYS_RESOURCE']).length === 0;
  const detail = may
    ? 'any value may be set'
    : `no CAP_SYS_RESOURCE: values below ${own} and raised resource limits are clamped`;
  return check('oom_score_adj', may, detail, 'degraded');
}

async function nft(): Promise<HostCheck> {
  const path = (process.env.PATH ?? '').split(':').concat('/usr/sbin', '/sbin');
  for (const directory of path.filter(Boolean)) {
    const file = `${directory}/nft`;
    if (await executable(file)) return check('nft', true, file, 'ok');
  }
  const detail = 'not found: pods of the embedded network reach the host and each other only';
  return check('nft', false, detail, 'degraded');
}

/** An overlay's upper directory cannot be on an overlay itself (kernel docs, overlayfs.rst). */
async function rootDirectory(root: string): Promise<HostCheck> {
  let directory = root;
  for (;;) {
    const found = await statfs(directory).catch(() => undefined);
    if (found) {
      const bad = found.type === OVERLAYFS_MAGIC;
      const detail = bad ? `${root} is on overlayfs: choose another --root` : root;
      return check('root-directory', !bad, detail, 'missing');
    }
    if (directory === '/') return check('root-directory', false, `${root}: no answer`, 'missing');
    directory = dirname(directory);
  }
}

function atLeast(version: Version, wanted: Version): boolean {
  return version[0] > wanted[0] || (version[0] === wanted[0] && version[1] >= wanted[1]);
}

/** The content of a file of /proc or /sys; empty where this kernel does not have it. */
async function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

async function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
