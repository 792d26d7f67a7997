/** The plan of a process that enters a running container. */
import { invalid } from '../../errors.ts';
import type { LaunchPlan, Step } from '../../native/types.ts';
import type { Process, ProcessUser, Spec } from '../../spec/oci.ts';
import { idMapsOf } from '../../spec/user-namespace.ts';
import { intoCgroup, joinFiles } from '../cgroup/paths.ts';
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWUTS,
} from './constants.ts';
import type { LaunchContext } from './launch-plan.ts';
import { processSteps } from './process-steps.ts';

export interface ExecOptions {
  /** The process's own id. */
  id: string;
  /** The container it enters. */
  parentId: string;
  argv: string[];
  tty: boolean;
  /** Beside the container's; the later value of a name wins. */
  env?: [name: string, value: string][];
  /** Default: the container's working directory. */
  cwd?: string;
  /** "user", "uid", "user:group"; default: the container's user. */
  user?: string;
}

export type ExecContext = Pick<LaunchContext, 'cgroup' | 'pidMode' | 'seccompProgram'>;

/**
 * The plan; pure. Everything else is the container's: namespaces, cgroup, limits, capabilities,
 * filter. The namespaces are those that the container's first process has now. The monitor joins
 * the PID namespace before it clones the child.
 * Throws InvalidArgument naming the option.
 */
export function execPlan(spec: Spec, options: ExecOptions, context: ExecContext): LaunchPlan {
  if (options.argv.length === 0) throw invalid('cmd', options.argv, 'names no command');
  const path = spec.linux.cgroupsPath;
  const process: Process = {
    ...spec.process,
    terminal: options.tty,
    args: options.argv,
    env: execEnv(spec.process.env, options),
    cwd: execCwd(spec, options),
    user: execUser(spec.process.user, options.user),
  };
  const maps = idMapsOf(spec.linux);
  const steps: Step[] = [
    ...joinFiles(context.cgroup, path).map((file): Step => ({ op: 'joinCgroup', file })),
    {
      op: 'joinNamespaces',
      flags: CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
    },
    ...(maps ? [{ op: 'actAsPodRoot' } as const] : []),
    ...(options.tty ? [{ op: 'console', rows: 24, cols: 80, bindConsole: false } as const] : []),
    ...processSteps({
      process,
      seccomp: spec.linux.seccomp,
      seccompProgram: context.seccompProgram,
      userNamespace: maps && { flags: 0 },
    }),
  ];
  return {
    id: options.id,
    parent: options.parentId,
    exec: true,
    cloneFlags: 0,
    pidMode: context.pidMode === 'new' ? 'target' : context.pidMode,
    terminal: options.tty,
    intoCgroup: intoCgroup(context.cgroup, path),
    // The cgroup is the container's: an exec that ends takes nobody along.
    killCgroup: '',
    killCgroupOnExit: false,
    steps,
  };
}

function execEnv(container: string[], options: ExecOptions): string[] {
  const nameOf = (entry: string) => entry.slice(0, entry.indexOf('='));
  const env = new Map(container.map((entry) => [nameOf(entry), entry]));
  if (options.tty && !env.has('TERM')) env.set('TERM', 'TERM=xterm');
  options.env?.forEach(([name, value], index) => {
    if (name === '' || /[=\0]/.test(name) || value.includes('\0')) {
      throw invalid(`env[${index}]`, name, 'is not an environment variable');
    }
    env.set(name, `${name}=${value}`);
  });
  return [...env.values()];
}

function execCwd(spec: Spec, { cwd = '' }: ExecOptions): string {
  if (cwd === '') return spec.process.cwd;
  if (!cwd.startsWith('/')) throw invalid('cwd', cwd, 'is not an absolute path');
  return cwd;
}

function execUser(container: ProcessUser, text = ''): ProcessUser {
  if (text === '') return container;
  const [username = '', groupname = '', ...rest] = text.split(':');
  if (username === '' || rest.length > 0) {
    throw invalid('user', text, 'is not of the form "user" or "user:group"');
  }
  const numeric = (name: string) => (/^\d+$/.test(name) ? Number(name) : 0);
  return { ...container, username, groupname, uid: numeric(username), gid: numeric(groupname) };
}
