/**
 * Names in the embedded kernel's bpffs, as the engine lists them (kernel/bpffs.ts `listNames`).
 */
import type { DirectoryEntry } from "../kernel.js";

/** A pinned map or program. */
export interface PinnedName {
  readonly path: string;
  readonly what: "map" | "program";
  readonly id: number;
}

/** A name of a map or program, or of a directory (`id` 0). `at` and `directory` are nodes; the root is 0. */
interface ListedName {
  readonly at: number;
  readonly directory: number;
  readonly what: PinnedName["what"];
  readonly id: number;
  readonly name: string;
}

/** Decodes a list of names: for each five words (node, directory, id, not 0 for a program, the name's bytes), and the name padded to 4. */
function readNames(bytes: Uint8Array): ListedName[] {
  const view = new DataView(bytes.buffer);
  const names: ListedName[] = [];
  for (let at = 0; at < bytes.length;) {
    const word = (i: number): number => view.getUint32(at + 4 * i, true);
    const length = word(4);
    const name = new TextDecoder().decode(bytes.subarray(at + 20, at + 20 + length));
    names.push({ at: word(0), directory: word(1), id: word(2), what: word(3) === 0 ? "map" : "program", name });
    at += 20 + ((length + 3) & ~3);
  }
  return names;
}

/** The names of maps and programs, of a list of all names. */
export function pinnedNames(bytes: Uint8Array): PinnedName[] {
  const names = readNames(bytes);
  const directories = new Map(names.filter(({ id }) => id === 0).map((name) => [name.at, name]));
  const pathOf = ({ directory, name }: ListedName): string => {
    const above = directories.get(directory);
    return `${above === undefined ? "/sys/fs/bpf" : pathOf(above)}/${name}`;
  };
  return names.filter(({ id }) => id !== 0).map((name) => ({ path: pathOf(name), what: name.what, id: name.id }));
}

/** The entries of a list of what is in a directory. */
export function directoryEntries(bytes: Uint8Array): DirectoryEntry[] {
  return readNames(bytes).map(({ name, id }) => ({ name, isDirectory: id === 0 }));
}
