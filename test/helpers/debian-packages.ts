import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The files of Debian packages, each as a tar that can be an image's layer. Downloads with apt-get
 * what the directory has not; dependencies are the caller's to name.
 */
export function debianPackages(directory: string, names: readonly string[]): Buffer[] {
  mkdirSync(directory, { recursive: true });
  const find = (name: string) =>
    readdirSync(directory).find((file) => file.startsWith(`${name}_`) && file.endsWith('.deb'));
  const missing = names.filter((name) => find(name) === undefined);
  if (missing.length > 0) {
    // Without apt's sandbox user, who could not write here; its complaint is of no interest.
    const options = ['-o', 'APT::Sandbox::User=root', '-qq'];
    execFileSync('apt-get', [...options, 'download', ...missing], { cwd: directory });
  }
  return names.map((name) => {
    const file = find(name);
    if (file === undefined) throw new Error(`apt-get has brought no package ${name}`);
    const limit = 512 * 1024 * 1024;
    return execFileSync('dpkg-deb', ['--fsys-tarfile', join(directory, file)], {
      maxBuffer: limit,
    });
  });
}
