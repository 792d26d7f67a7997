// Builds build/Release/coracle.node and build/Release/coracle-monitor: the package's install
// script. Does nothing when both are newer than everything they are made from.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const products = ['build/Release/coracle.node', 'build/Release/coracle-monitor'];
const libraries = {
  libseccomp: 'libseccomp-dev',
  libarchive: 'libarchive-dev',
  libzstd: 'libzstd-dev',
  nettle: 'nettle-dev',
  libisal: 'libisal-dev',
};

function run(command, args, options = {}) {
  return spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
}

/** Newest modification of the sources and of what says how to build them. */
function newestSource() {
  const files = [
    'binding.gyp',
    'scripts/native-sources.mjs',
    'scripts/build-monitor.sh',
    ...readdirSync(join(root, 'native'), { recursive: true }).map((name) => `native/${name}`),
  ];
  const times = files.map((name) => statSync(join(root, name), { throwIfNoEntry: false }));
  return Math.max(...times.map((stat) => (stat?.isFile() ? stat.mtimeMs : 0)));
}

function upToDate() {
  const built = products.map((name) => statSync(join(root, name), { throwIfNoEntry: false }));
  const newest = newestSource();
  return built.every((stat) => stat !== undefined && stat.mtimeMs >= newest);
}

/** What is missing to compile, as apt packages; empty when all is there. */
function missingPackages() {
  const missing = [];
  for (const tool of ['make', 'g++']) {
    if (run(tool, ['--version'], { stdio: 'ignore' }).status !== 0) missing.push('build-essential');
  }
  if (run('pkg-config', ['--version'], { stdio: 'ignore' }).status !== 0) {
    missing.push('pkg-config', ...Object.values(libraries));
  } else {
    for (const [library, packageName] of Object.entries(libraries)) {
      const found = run('pkg-config', ['--exists', library], { stdio: 'ignore' });
      if (found.status !== 0) missing.push(packageName);
    }
  }
  return [...new Set(missing)];
}

/** The prefix whose include/node holds this Node's own headers, so that none are downloaded. */
function headersPrefix() {
  const prefixes = [dirname(dirname(realpathSync(process.execPath))), '/usr', '/usr/local'];
  return prefixes.find((prefix) => {
    const version = join(prefix, 'include/node/node_version.h');
    if (!existsSync(join(prefix, 'include/node/node_api.h')) || !existsSync(version)) return false;
    const text = readFileSync(version, 'utf8');
    const part = (name) => text.match(new RegExp(`#define NODE_${name}_VERSION (\\d+)`))?.[1];
    return part('MAJOR') === process.versions.node.split('.')[0];
  });
}

/** The node-gyp that npm brings along: named by npm itself, or found beside it. */
function nodeGyp() {
  const named = process.env.npm_config_node_gyp;
  if (named !== undefined && existsSync(named)) return named;
  const prefix = dirname(dirname(process.execPath));
  const beside = ['lib/node_modules', 'share/nodejs']
    .map((folder) => join(prefix, folder, 'npm/node_modules/node-gyp/bin/node-gyp.js'))
    .find((path) => existsSync(path));
  if (beside !== undefined) return beside;
  const listed = run('npm', ['root', '--global'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const global = join(String(listed.stdout).trim(), 'npm/node_modules/node-gyp/bin/node-gyp.js');
  return existsSync(global) ? global : undefined;
}

function fail(message) {
  console.error(`coracle: ${message}`);
  process.exit(1);
}

if (process.platform !== 'linux') fail('the native addon builds and runs on Linux only');
if (upToDate()) process.exit(0);

const missing = missingPackages();
if (missing.length > 0) {
  fail(`to build the native addon, first run: apt-get install ${missing.join(' ')}`);
}
const gyp = nodeGyp();
if (gyp === undefined) fail('node-gyp not found; it comes with npm, or set npm_config_node_gyp');

const prefix = headersPrefix();
const args = ['rebuild', '-j', 'max', ...(prefix === undefined ? [] : [`--nodedir=${prefix}`])];
// An existing configuration is reused, so that a change of one source compiles one source.
if (existsSync(join(root, 'build/Makefile'))) args.splice(0, 1, 'configure', 'build');
const built = run(process.execPath, [gyp, ...args]);
if (built.status !== 0) fail('building the native addon failed; the compiler output is above');
// make leaves alone what did not change; marked as checked, it is not looked at again next time.
const now = new Date();
for (const product of products) utimesSync(join(root, product), now, now);
