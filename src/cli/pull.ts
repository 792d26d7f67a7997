import type { Command } from 'commander';
import { complain } from './complain.ts';
import { type Flags, loadSettings } from './config.ts';
import { CREDENTIALS_VARIABLE, type CredentialFlags, findCredentials } from './credentials.ts';
import { onInterrupt } from './interrupt.ts';
import { withSettings } from './options.ts';
import { explainPull } from './pull-problem.ts';
import { showPull } from './show-pull.ts';
import { withImages } from './with-images.ts';

interface PullFlags extends Flags, CredentialFlags {
  quiet: boolean;
}

export function registerPull(program: Command): void {
  withSettings(program.command('pull <image>'))
    .description('pull an image from its registry; prints its id')
    .option('-q, --quiet', 'show no progress', false)
    .option(
      '--creds <user:password>',
      `credentials for the registry (default: $${CREDENTIALS_VARIABLE})`,
    )
    .option('--creds-stdin', 'read user:password from standard input')
    .action(pull);
}

async function pull(image: string, flags: PullFlags): Promise<void> {
  // Takes the place of the arguments in ps and /proc: a password may be among them.
  if (flags.creds !== undefined) process.title = `coracle pull ${image}`;
  const settings = loadSettings(flags);
  const auth = await findCredentials(flags, process.stdin, process.env);
  const display = flags.quiet ? undefined : showPull(process.stderr, process.env);
  using interrupt = onInterrupt();
  // At once: a second ^C would leave the terminal as it is then.
  interrupt.signal.addEventListener('abort', () => display?.close(), { once: true });
  try {
    const id = await withImages(settings, (images) =>
      images.pull(image, {
        auth,
        signal: interrupt.signal,
        onProgress: (progress) => display?.update(progress),
      }),
    );
    display?.close();
    process.stdout.write(`${id}\n`);
  } catch (error) {
    display?.close();
    const { message, hint } = explainPull(error, auth !== undefined);
    complain(message);
    if (hint) complain(`hint: ${hint}`);
    process.exitCode = interrupt.exitCode() ?? 1;
  }
}
