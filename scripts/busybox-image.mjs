/**
 * An OCI layout with one small image, made offline from a static busybox: for the demo, the
 * benchmarks and the tests. The same input gives the same bytes.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const PASSWD = `root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
app:x:1000:1000:app:/home/app:/bin/sh
`;
const GROUP = `root:x:0:
app:x:1000:
extra:x:2000:app
nobody:x:65534:
`;
const ARCHITECTURES = { x64: 'amd64', arm64: 'arm64' };

/**
 * @typedef {{ name: string, type?: 'file' | 'dir' | 'symlink' | 'hardlink', mode?: number,
 *   uid?: number, gid?: number, data?: string | Uint8Array, link?: string }} TarMember
 */

/**
 * A ustar archive. Names may have up to 100 bytes.
 * @param {TarMember[]} members
 */
export function makeTar(members) {
  const blocks = [];
  for (const member of members) {
    const type = member.type ?? 'file';
    const data = Buffer.from(member.data ?? '');
    const header = Buffer.alloc(512);
    const octal = (value, at, length) =>
      header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
    header.write(member.name, 0, 100, 'utf8');
    octal(member.mode ?? (type === 'dir' ? 0o755 : type === 'symlink' ? 0o777 : 0o644), 100, 8);
    octal(member.uid ?? 0, 108, 8);
    octal(member.gid ?? 0, 116, 8);
    octal(data.length, 124, 12);
    octal(0, 136, 12);
    header.write('        ', 148, 'latin1');
    header.write({ file: '0', hardlink: '1', symlink: '2', dir: '5' }[type], 156, 'latin1');
    if (member.link !== undefined) header.write(member.link, 157, 100, 'utf8');
    header.write('ustar\x0000', 257, 'latin1');
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    blocks.push(header, data, Buffer.alloc((512 - (data.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

/** @param {Uint8Array} bytes */
export function sha256(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/**
 * Writes an image as an OCI layout directory.
 * @param {string} dir made if it is missing
 * @param {{ name: string, layers: Uint8Array[], config?: object, architecture?: string }} image
 *   layers as uncompressed tars, lowest first
 * @returns {{ manifestDigest: string, configDigest: string, layerDigests: string[] }}
 */
export function writeLayout(dir, image) {
  const blobs = join(dir, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  const put = (mediaType, bytes) => {
    const digest = sha256(bytes);
    writeFileSync(join(blobs, digest.slice('sha256:'.length)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const json = (value) => Buffer.from(JSON.stringify(value));
  const layers = image.layers.map((tar) =>
    put('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(tar)),
  );
  const config = put(
    'application/vnd.oci.image.config.v1+json',
    json({
      architecture: image.architecture ?? ARCHITECTURES[process.arch] ?? process.arch,
      os: 'linux',
      created: '1970-01-01T00:00:00Z',
      config: image.config ?? {},
      rootfs: { type: 'layers', diff_ids: image.layers.map(sha256) },
    }),
  );
  const manifest = put(
    'application/vnd.oci.image.manifest.v1+json',
    json({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config,
      layers,
    }),
  );
  writeFileSync(join(dir, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  const annotations = {
    'io.containerd.image.name': image.name,
    'org.opencontainers.image.ref.name': image.name,
  };
  writeFileSync(
    join(dir, 'index.json'),
    json({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  );
  return {
    manifestDigest: manifest.digest,
    configDigest: config.digest,
    layerDigests: layers.map((layer) => layer.digest),
  };
}

/** Where distributions put a static busybox. */
function findBusybox() {
  const found = ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path));
  if (found === undefined) throw new Error('no busybox here: install busybox-static');
  return found;
}

/**
 * The tree of the image, as tar members: every applet, a passwd with root, nobody and app (uid
 * 1000, supplementary group 2000 "extra"), /tmp.
 * @param {Record<string, string | { data: string, mode?: number, uid?: number, gid?: number }>} files
 *   extra files by path without a leading slash
 * @returns {TarMember[]}
 */
export function busyboxTree(files = {}) {
  const busybox = findBusybox();
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).trim().split('\n').sort();
  const dirs = ['bin', 'dev', 'etc', 'home', 'home/app', 'proc', 'root', 'sys', 'usr', 'usr/bin'];
  const members = dirs.map((name) => ({ name: `${name}/`, type: 'dir' }));
  Object.assign(
    members.find(({ name }) => name === 'home/app/'),
    { uid: 1000, gid: 1000 },
  );
  members.push(
    { name: 'tmp/', type: 'dir', mode: 0o1777 },
    { name: 'bin/busybox', mode: 0o755, data: readFileSync(busybox) },
    ...applets
      .filter((applet) => applet !== 'busybox')
      .map((applet) => ({ name: `bin/${applet}`, type: 'symlink', link: 'busybox' })),
    { name: 'etc/passwd', data: PASSWD },
    { name: 'etc/group', data: GROUP },
  );
  for (const [name, file] of Object.entries(files)) {
    members.push({ name, ...(typeof file === 'string' ? { data: file } : file) });
  }
  return members;
}

/**
 * Builds the image.
 * @param {string} dir made if it is missing
 * @param {{ name?: string, entrypoint?: string[], cmd?: string[], env?: string[], user?: string,
 *   workingDir?: string, files?: Parameters<typeof busyboxTree>[0] }} options
 */
export function makeBusyboxLayout(dir, options = {}) {
  return writeLayout(dir, {
    name: options.name ?? 'docker.io/library/busybox:latest',
    layers: [makeTar(busyboxTree(options.files))],
    config: {
      Env: options.env ?? ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      ...(options.entrypoint ? { Entrypoint: options.entrypoint } : {}),
      Cmd: options.cmd ?? ['sh'],
      ...(options.user ? { User: options.user } : {}),
      ...(options.workingDir ? { WorkingDir: options.workingDir } : {}),
    },
  });
}

/** The layout as a tar, for programs that take a file. */
export function tarLayout(dir, file) {
  execFileSync('tar', ['-C', dir, '--sort=name', '-cf', file, '.']);
}
