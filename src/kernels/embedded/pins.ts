/**
 * Pinned names, as the engine lists them (kernel/bpffs.ts `listPins`).
 */

/** A name in a bpffs. */
export interface PinnedName {
  readonly path: string;
  readonly mapId: number;
}

/** Decodes a list of names: for each the map's id, the name's bytes, and the name padded to 4. */
export function readPins(bytes: Uint8Array): PinnedName[] {
  const view = new DataView(bytes.buffer);
  const names: PinnedName[] = [];
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at + 4, true);
    const name = new TextDecoder().decode(bytes.subarray(at + 8, at + 8 + length));
    names.push({ path: `/sys/fs/bpf/${name}`, mapId: view.getUint32(at, true) });
    at += 8 + ((length + 3) & ~3);
  }
  return names;
}
