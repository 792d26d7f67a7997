export interface TarMember {
  name: string;
  type?: 'file' | 'dir' | 'symlink' | 'hardlink';
  mode?: number;
  uid?: number;
  gid?: number;
  data?: string | Uint8Array;
  link?: string;
}
export interface WrittenLayout {
  manifestDigest: string;
  configDigest: string;
  layerDigests: string[];
}
export type ExtraFiles = Record<
  string,
  string | { data: string | Uint8Array; mode?: number; uid?: number; gid?: number }
>;
export function makeTar(members: TarMember[]): Buffer;
export function sha256(bytes: Uint8Array): string;
export function writeLayout(
  dir: string,
  image: { name: string; layers: Uint8Array[]; config?: object; architecture?: string },
): WrittenLayout;
export function busyboxTree(files?: ExtraFiles): TarMember[];
export function makeBusyboxLayout(
  dir: string,
  options?: {
    name?: string;
    entrypoint?: string[];
    cmd?: string[];
    env?: string[];
    user?: string;
    workingDir?: string;
    files?: ExtraFiles;
  },
): WrittenLayout;
export function tarLayout(dir: string, file: string): void;
