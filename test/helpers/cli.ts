import { fileURLToPath } from 'node:url';

const inPackage = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/**
 * The arguments of Node.js that start `coracle`: from its sources, or from dist/, in a third of the
 * time, where scripts/test.mjs has seen that it is as new as they are. The working directory has to
 * be the package's.
 */
export const CLI: readonly string[] =
  process.env.CORACLE_TEST_CLI === 'dist'
    ? [inPackage('dist/cli/main.js')]
    : ['--import', 'tsx', inPackage('src/cli/main.ts')];
