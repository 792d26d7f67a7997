import type { Command } from 'commander';
import { messageOf } from '../errors.ts';
import type { NativeError } from '../native/types.ts';
import { complain } from './complain.ts';
import { type Flags, loadSettings } from './config.ts';
import { withSettings } from './options.ts';

/** What `docker run` exits with where the container did not get as far as having a code. */
const SETUP_FAILED = 125;
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

/** A shell's code for a command that could not be executed, 125 for all else. */
function exitCodeOf(error: unknown): number {
  const { step, code } = (
    error instanceof Error ? (error.cause ?? {}) : {}
  ) as Partial<NativeError>;
  if (step !== 'exec') return SETUP_FAILED;
  return code === 'ENOENT' || code === 'ENOTDIR' ? NOT_FOUND : NOT_EXECUTABLE;
}

interface RunFlags extends Flags {
  net: string;
  rm: boolean;
  volume: string[];
  publish: string[];
  env: string[];
  tty: boolean;
  interactive: boolean;
}

const NETWORKS = ['none', 'host', 'pod'] as const;

/** `coracle run`: everything after the image is the container's, flags too. */
export function registerRun(program: Command): void {
  const collect = (value: string, previous: string[]) => [...previous, value];
  withSettings(program.command('run <image> [command...]'))
    .description("run a command in a container; exits with the container's code")
    .option('--net <network>', 'none, host or pod', 'pod')
    .option('--rm', 'remove pod and container afterwards', false)
    .option(
      '-v, --volume <src:dst[:ro]>',
      'bind mount a directory or file of the host',
      collect,
      [],
    )
    .option(
      '-p, --publish <[address:]hostport:port[/protocol]>',
      'give a port of the host to the container',
      collect,
      [],
    )
    .option('-e, --env <name=value>', 'set an environment variable', collect, [])
    .option('-t, --tty', 'with a terminal', false)
    .option('-i, --interactive', 'pass standard input on', false)
    .passThroughOptions()
    .action(async (image: string, command: string[], flags: RunFlags) => {
      try {
        const { runtime } = loadSettings(flags);
        const net = NETWORKS.find((network) => network === flags.net);
        if (!net) throw new Error(`--net: "${flags.net}" is not none, host or pod`);
        if (flags.publish.length > 0 && net !== 'pod') {
          throw new Error(`--publish: with --net ${net} there is no network of its own`);
        }
        const { run } = await import('./run.ts');
        process.exitCode = await run(image, command, { ...flags, runtime, net });
      } catch (error) {
        complain(messageOf(error));
        process.exitCode = exitCodeOf(error);
      }
    });
}
