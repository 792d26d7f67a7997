/** Which containers use an image's layers. In memory: containers hold again after a restart. */
export class Holds {
  readonly #holders = new Map<string, Set<string>>();

  has(imageId: string): boolean {
    return this.#holders.has(imageId);
  }

  /** Holding twice as the same holder is holding once. */
  add(imageId: string, holder: string): void {
    const holders = this.#holders.get(imageId);
    if (holders) holders.add(holder);
    else this.#holders.set(imageId, new Set([holder]));
  }

  /** True where this was the image's last holder. */
  remove(imageId: string, holder: string): boolean {
    const holders = this.#holders.get(imageId);
    if (!holders?.delete(holder) || holders.size > 0) return false;
    this.#holders.delete(imageId);
    return true;
  }
}
