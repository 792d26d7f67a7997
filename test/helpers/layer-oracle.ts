/**
 * What a stack of layers means, in memory: the OCI image specification's changesets (layer.md) put
 * onto one tree, with names resolved in it as chroot(2) would. Slow and plain: tests compare the real
 * thing with it.
 */
import type { TarMember } from '../../scripts/busybox-image.mjs';

interface Inode {
  type: 'file' | 'dir' | 'symlink';
  mode: number;
  uid: number;
  data: string;
  children: Map<string, Inode>;
}

const MAX_LINKS = 40;

export class LayerOracle {
  readonly #root = directory();

  /** Applies one layer's members in order. Throws where a name leads through a file or in circles. */
  apply(members: readonly TarMember[]): void {
    for (const member of members) this.#member(member);
  }

  #member(member: TarMember): void {
    const parts = split(member.name);
    const base = parts.pop();
    if (base === undefined) throw new Error('the root is no subject of this oracle');
    if (base.startsWith('.wh.')) {
      const above = this.#directory(parts, false);
      if (base === '.wh..wh..opq') above?.children.clear();
      else above?.children.delete(base.slice('.wh.'.length));
      return;
    }
    const above = this.#directory(parts, true) as Inode;
    const there = above.children.get(base);
    const mode = member.mode ?? (member.type === 'dir' ? 0o755 : 0o644);
    const uid = member.uid ?? 0;
    if (member.type === 'dir' && there?.type === 'dir') {
      Object.assign(there, { mode, uid });
    } else if (member.type === 'hardlink') {
      // What has the name goes first, and may take the target with it.
      if (there?.type === 'dir') above.children.delete(base);
      const target = split(member.link ?? '');
      const name = target.pop() ?? '';
      const inode = this.#directory(target, false)?.children.get(name);
      if (inode === undefined || inode.type === 'dir') throw new Error('no such hard link target');
      above.children.set(base, inode);
    } else {
      const type = member.type ?? 'file';
      const data = type === 'symlink' ? (member.link ?? '') : String(member.data ?? '');
      above.children.set(base, { type, mode, uid, data, children: new Map() });
    }
  }

  /** The directory of that name; made where it is missing and `make` says so. */
  #directory(parts: string[], make: boolean, links = 0): Inode | undefined {
    const stack = [this.#root];
    const rest = [...parts];
    let followed = links;
    while (rest.length > 0) {
      const part = rest.shift() as string;
      const here = stack.at(-1) as Inode;
      if (part === '..') {
        if (stack.length > 1) stack.pop();
        continue;
      }
      let next = here.children.get(part);
      if (next?.type === 'symlink') {
        followed += 1;
        if (followed > MAX_LINKS) throw new Error('a circle of symbolic links');
        if (next.data.startsWith('/')) stack.splice(1);
        rest.unshift(...split(next.data));
        continue;
      }
      if (next === undefined) {
        if (!make) return undefined;
        next = directory();
        here.children.set(part, next);
      }
      if (next.type === 'file') {
        if (make) throw new Error('a file where a directory should be');
        return undefined;
      }
      stack.push(next);
    }
    return stack.at(-1);
  }

  /** "path type mode uid data" of everything but the root, sorted. */
  describe(): string[] {
    const lines: string[] = [];
    const visit = (inode: Inode, path: string): void => {
      for (const [name, child] of inode.children) {
        const below = path === '' ? name : `${path}/${name}`;
        const mode = child.type === 'symlink' ? 0o777 : child.mode;
        lines.push(`${below} ${child.type} ${mode.toString(8)} ${child.uid} ${child.data}`);
        visit(child, below);
      }
    };
    visit(this.#root, '');
    return lines.sort();
  }
}

function directory(): Inode {
  return { type: 'dir', mode: 0o755, uid: 0, data: '', children: new Map() };
}

function split(name: string): string[] {
  return name.split('/').filter((part) => part !== '' && part !== '.');
}
