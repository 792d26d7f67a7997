/**
 * Stand-ins for the images that cri-tools' validation suite pulls, built from Debian packages: each
 * has what the suite looks at, under the name that the suite knows.
 *
 * One name cannot be had: the suite pulls `test-image-digest` by the digest of its authors' build.
 * Ours has another, the same for every build with one version of Debian's busybox.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { busyboxTree, makeTar, writeLayout } from '../../scripts/busybox-image.mjs';
import { debianPackages } from './debian-packages.ts';
import { pushLayout } from './image-fixture.ts';

/** The registries that the suite's names are of. One registry here stands in for all three. */
export const CRITEST_REGISTRIES = ['registry.k8s.io', 'k8s.gcr.io', 'gcr.io'] as const;

const E2E = 'e2e-test-images';
const CRI_TOOLS = 'k8s-staging-cri-tools';
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

type Files = Parameters<typeof busyboxTree>[0];

interface TestImage {
  /** Repository and tags, without the registry. */
  repository: string;
  tags: string[];
  layers(packages: string): Buffer[];
  config: { User?: string; Entrypoint?: string[]; Cmd: string[] };
}

/** The images for the specs about images, which need nothing but busybox. */
export const IMAGE_SPEC_IMAGES: TestImage[] = [
  busybox(`${E2E}/busybox`, ['1.29-2'], {}),
  // The suite runs it by its own entrypoint, and asks of it only that it stays.
  busybox('pause', ['3.9'], { cmd: ['sleep', '2147483647'] }),
  ...['1', '2', '3', 'latest', 'digest'].map((name) =>
    busybox(`${CRI_TOOLS}/test-image-${name}`, ['latest'], { files: { [`test-${name}`]: '' } }),
  ),
  busybox(`${CRI_TOOLS}/test-image-tags`, ['1', '2', '3'], { files: { 'same-image': '' } }),
  busybox(`${CRI_TOOLS}/test-image-tag`, ['test'], { files: { test: '' } }),
  busybox(`${CRI_TOOLS}/test-image-tag`, ['all'], { files: { all: '' } }),
  ...Object.entries({
    uid: '1002',
    username: 'www-data',
    'uid-group': '1003:1004',
    'username-group': 'www-data:1004',
  }).map(([name, user]) => busybox(`${CRI_TOOLS}/test-image-user-${name}`, ['latest'], { user })),
];

/** Those for the other specs. They take a compiler, and packages from Debian's archive. */
export const OTHER_IMAGES: TestImage[] = [
  // In the place of the one above. The shell of busybox-static looks for no file where it has an
  // applet, and so would run what the suite has masked; that of the other package looks.
  {
    repository: `${E2E}/busybox`,
    tags: ['1.29-2'],
    layers: (packages) => [
      makeTar(userland()),
      ...debianPackages(packages, ['libc6', 'busybox']),
      makeTar([{ name: 'bin/sh', type: 'symlink', link: 'busybox' }]),
    ],
    config: { Cmd: ['sh'] },
  },
  busybox(`${CRI_TOOLS}/test-image-predefined-group`, ['latest'], {
    user: '1000',
    files: {
      'etc/passwd':
        'root:x:0:0:root:/root:/bin/sh\ndefault-user:x:1000:1000::/home/default-user:/bin/sh\n',
      'etc/group': 'root:x:0:\ndefault-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n',
    },
  }),
  // It is asked for a page, for a line of its log, and to run a command.
  busybox(`${E2E}/httpd`, ['2.4.39-4'], {
    files: { 'www/index.html': '<html><body><h1>It works!</h1></body></html>\n' },
    cmd: ['sh', '-c', 'echo "httpd serves port 80"; exec httpd -f -v -p 80 -h /www'],
  }),
  {
    repository: `${E2E}/nonewprivs`,
    tags: ['1.3'],
    layers: () => [
      makeTar([...userland(), { name: 'nnp', mode: 0o4755, data: effectiveUidProgram() }]),
    ],
    config: { Cmd: ['/nnp'] },
  },
  nginx(`${E2E}/nginx`, '1.14-2', 80),
  // Named by Go's name of the architecture.
  nginx(
    `${CRI_TOOLS}/hostnet-nginx-${process.arch === 'x64' ? 'amd64' : 'arm64'}`,
    'latest',
    12003,
  ),
];

/** Builds the images and pushes them to "http://host:port"; `scratch` also keeps packages. */
export async function pushCritestImages(
  registry: string,
  scratch: string,
  images: readonly TestImage[],
): Promise<void> {
  for (const { repository, tags, layers, config } of images) {
    const layout = join(scratch, 'layouts', repository.replaceAll('/', '-'), tags[0] ?? '');
    writeLayout(layout, {
      name: `${repository}:${tags[0]}`,
      layers: layers(join(scratch, 'packages')),
      config: { Env: [PATH], ...config },
    });
    for (const tag of tags) await pushLayout(registry, layout, repository, tag);
  }
}

/** Writes a hosts.toml for each of the suite's registries that names `mirror` in its place. */
export function mirrorCritestRegistries(directory: string, mirror: string): void {
  for (const name of CRITEST_REGISTRIES) {
    mkdirSync(join(directory, name), { recursive: true });
    writeFileSync(
      join(directory, name, 'hosts.toml'),
      `server = "https://${name}"\n\n[host."${mirror}"]\ncapabilities = ["pull", "resolve"]\n`,
    );
  }
}

function busybox(
  repository: string,
  tags: string[],
  { user, cmd = ['sh'], files = {} }: { user?: string; cmd?: string[]; files?: Files },
): TestImage {
  return {
    repository,
    tags,
    layers: () => [makeTar(userland(files))],
    config: { Cmd: cmd, ...(user !== undefined && { User: user }) },
  };
}

/**
 * The applets as hard links, as the suite's own image has them: it masks one of them, which through
 * a symbolic link would be all. Beside them what the suite runs and Debian's busybox lacks.
 */
function userland(files: Files = {}): ReturnType<typeof busyboxTree> {
  const script = (lines: string) => ({ mode: 0o755, data: `#!/bin/sh\n${lines}` });
  return busyboxTree({ 'bin/pgrep': script(PGREP), 'bin/ipcs': script(IPCS), ...files }).map(
    (member) =>
      member.type === 'symlink' && member.link === 'busybox'
        ? { ...member, type: 'hardlink', link: 'bin/busybox' }
        : member,
  );
}

/** Prints the pids of the processes whose name has the argument in it, apart from itself. */
const PGREP = `found=1
for dir in /proc/[0-9]*; do
  pid=\${dir#/proc/}
  [ "$pid" = "$$" ] && continue
  case $(cat "$dir/comm" 2>/dev/null) in
    *"$1"*) echo "$pid"; found=0 ;;
  esac
done
exit $found
`;

/** Lists the shared memory segments of the IPC namespace, whatever the argument. */
const IPCS = `echo 'key shmid perms bytes'
tail -n +2 /proc/sysvipc/shm | awk '{ print $1, $2, $3, $4 }'
`;

/** The real one: the suite looks for its master process, its pid file and its start page. */
function nginx(repository: string, tag: string, port: number): TestImage {
  const conf = `worker_processes 1;
pid /var/run/nginx.pid;
error_log /dev/stderr;
events { worker_connections 64; }
http {
  access_log /dev/stdout;
  server { listen ${port}; root /usr/share/nginx/html; }
}
`;
  const page = '<!DOCTYPE html><html><body><h1>Welcome to nginx!</h1></body></html>\n';
  const members = [
    ...['var/run/', 'var/log/nginx/', 'var/lib/nginx/', 'usr/share/nginx/html/'].map((name) => ({
      name,
      type: 'dir' as const,
    })),
    { name: 'etc/nginx/nginx.conf', data: conf },
    { name: 'usr/share/nginx/html/index.html', data: page },
  ];
  return {
    repository,
    tags: [tag],
    layers: (packages) => [
      makeTar(userland()),
      ...debianPackages(packages, [
        'libc6',
        'libcrypt1',
        'libpcre2-8-0',
        'libssl3',
        'zlib1g',
        'nginx',
      ]),
      makeTar(members),
    ],
    config: { Cmd: ['nginx', '-g', 'daemon off; user root;'] },
  };
}

/** A static program that tells its effective user id, as the suite reads it. Takes musl-gcc. */
export function effectiveUidProgram(): Buffer {
  const dir = mkdtempSync(join(tmpdir(), 'nnp-'));
  try {
    const source = join(dir, 'nnp.c');
    writeFileSync(
      source,
      '#include <stdio.h>\n#include <unistd.h>\n' +
        'int main(void) { printf("Effective uid: %d\\n", (int)geteuid()); return 0; }\n',
    );
    execFileSync('musl-gcc', ['-static', '-O2', '-o', join(dir, 'nnp'), source]);
    return readFileSync(join(dir, 'nnp'));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
