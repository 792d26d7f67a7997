import type { Operation } from './recording.ts';

/** What the workload notes. */
export type ImageMark =
  | { begun: 'import' | 'remove'; name: string }
  | { done: 'import' | 'remove'; name: string }
  | { blob: string };

/** Which images there must be, and which there may be, so far. */
export class ImageHistory {
  /** Undefined while an import or a removal is under way. */
  readonly images = new Map<string, boolean | undefined>();
  /** Blobs by their hex digest that nothing has thrown away since they came. */
  readonly blobs = new Set<string>();

  see(operation: Operation): void {
    if (operation.kind !== 'M') return;
    const mark = JSON.parse(operation.bytes.toString()) as ImageMark;
    if ('blob' in mark) this.blobs.add(mark.blob);
    else if ('done' in mark) this.images.set(mark.name, mark.done === 'import');
    else if (this.images.get(mark.name) !== (mark.begun === 'import')) {
      this.images.set(mark.name, undefined);
    }
    // A removal throws away what no image has.
    if ('begun' in mark && mark.begun === 'remove') this.blobs.clear();
  }

  /** For telling states apart. */
  get promised(): unknown {
    return [[...this.images], [...this.blobs]];
  }

  /** What is wrong with a list of images. */
  judge(listed: ReadonlySet<string>): string | undefined {
    for (const name of listed) {
      if (!this.images.has(name)) return `image ${name} was never imported`;
    }
    for (const [name, there] of this.images) {
      if (there !== undefined && listed.has(name) !== there) {
        return `image ${name} ${there ? 'is lost' : 'has come back'}`;
      }
    }
    return undefined;
  }
}
