import { chmod, mkdir } from 'node:fs/promises';

/**
 * Makes a directory that root alone may enter, or closes one that is there. Below are file systems
 * of containers: their set-user-ID programs belong to the host's root on the disk, whatever user
 * namespace a pod has, and no other user of the host may come by one (CVE-2021-41103).
 */
export async function closedDirectory(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  await chmod(path, 0o700);
}
