/**
 * Sections of an ELF64 object file, little endian: what compilers make for the bpf target, and for x86-64 and arm64.
 *
 *     0        16    18     20       24       32       40       48    52       58           60       62         64
 *     | ident  | type | mach | version | entry | phoff  | shoff  | ... | ehsize | shentsize  | shnum  | shstrndx |
 *
 *     0       4       8       16     24       32     40     44     48          56        64
 *     | name  | type  | flags | addr | offset | size | link | info | addralign | entsize |      a section header
 */

/** The bytes are no ELF object, or a damaged one. */
export class ElfError extends Error {
  override readonly name = "ElfError";
}

/** A section. */
export interface ElfSection {
  /** What symbols and other sections know it by: 1 is the first. */
  readonly index: number;
  readonly name: string;
  /** SHT_*. */
  readonly type: number;
  /** SHF_*. */
  readonly flags: number;
  /** Where it lies in memory, of what runs. */
  readonly address: number;
  /** In bytes, also where it takes no room in the file. */
  readonly size: number;
  /** What these are, the type says: of symbols the section of their names; of relocations that of symbols, and the one they change. */
  readonly link: number;
  readonly info: number;
  /** Empty where the section takes no room in the file (SHT_NOBITS). Shares the object's memory. */
  readonly bytes: Uint8Array;
}

const HEADER_SIZE = 64;
const SECTION_HEADER_SIZE = 64;
const SHT_NOBITS = 8;
const SHN_XINDEX = 0xffff;
const MAGIC = 0x464c457f;

/** Whether bytes begin as an ELF file does. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes.length >= 4 && viewOf(bytes).getUint32(0, true) === MAGIC;
}

/**
 * Sections of an object, in the file's order; the first, which is none, is left out.
 *
 * @throws {ElfError} The bytes are no ELF64 object, little endian, or say what cannot be
 */
export function elfSections(bytes: Uint8Array): ElfSection[] {
  if (!isElf(bytes)) throw new ElfError("Cannot read ELF object: wanted the magic 7f 45 4c 46 at its begin");
  if (bytes.length < HEADER_SIZE) {
    throw new ElfError(`Cannot read ELF object: wanted a header of ${HEADER_SIZE} bytes, found ${bytes.length}`);
  }
  if (bytes[4] !== 2) throw new ElfError(`Cannot read ELF object: wanted class 2 (64 bits), found ${bytes[4]}`);
  if (bytes[5] !== 1) throw new ElfError(`Cannot read ELF object: wanted data 1 (little endian), found ${bytes[5]}`);
  const view = viewOf(bytes);
  const table = Number(view.getBigUint64(40, true));
  if (table === 0) return [];
  const entrySize = view.getUint16(58, true);
  if (entrySize !== SECTION_HEADER_SIZE) {
    throw new ElfError(`Cannot read ELF object: wanted section headers of 64 bytes, found ${entrySize}`);
  }
  /** Asserts that bytes are there. */
  const within = (off: number, size: number, what: string): void => {
    if (off + size <= bytes.length) return;
    throw new ElfError(`Cannot read ELF object: ${what} ends at ${off + size}, the file at ${bytes.length}`);
  };
  within(table, SECTION_HEADER_SIZE, "the first section header");
  // Of more sections than fit the header, the first section tells.
  const count = view.getUint16(60, true) || Number(view.getBigUint64(table + 32, true));
  const namesIndex = view.getUint16(62, true);
  const names = namesIndex === SHN_XINDEX ? view.getUint32(table + 40, true) : namesIndex;
  within(table, count * SECTION_HEADER_SIZE, "the table of sections");
  if (names >= count) throw new ElfError(`Cannot read ELF object: names in section ${names} of ${count}`);

  const contents = (index: number): Uint8Array => {
    const header = table + index * SECTION_HEADER_SIZE;
    if (view.getUint32(header + 4, true) === SHT_NOBITS) return bytes.subarray(0, 0);
    const off = Number(view.getBigUint64(header + 24, true));
    const size = Number(view.getBigUint64(header + 32, true));
    within(off, size, `section ${index}`);
    return bytes.subarray(off, off + size);
  };
  const strings = contents(names);
  const nameAt = (off: number): string => {
    const end = strings.indexOf(0, off);
    if (end < 0) throw new ElfError(`Cannot read ELF object: no section name at ${off}`);
    return new TextDecoder().decode(strings.slice(off, end));
  };
  const sections: ElfSection[] = [];
  for (let i = 1; i < count; i++) {
    const header = table + i * SECTION_HEADER_SIZE;
    const name = nameAt(view.getUint32(header, true));
    sections.push({
      index: i,
      name,
      type: view.getUint32(header + 4, true),
      flags: Number(view.getBigUint64(header + 8, true)),
      address: Number(view.getBigUint64(header + 16, true)),
      size: Number(view.getBigUint64(header + 32, true)),
      link: view.getUint32(header + 40, true),
      info: view.getUint32(header + 44, true),
      bytes: contents(i),
    });
  }
  return sections;
}

/**
 * The bytes of the first section of a name; undefined where there is none.
 *
 * @throws {ElfError} as `elfSections`
 */
export function elfSection(bytes: Uint8Array, name: string): Uint8Array | undefined {
  return elfSections(bytes).find((section) => section.name === name)?.bytes;
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}
