/**
 * Symbols and relocations of an ELF64 object.
 *
 *     0      4      5       6       8       16     24
 *     | name | info | other | shndx | value | size |      a symbol; info: bind 7..4, type 3..0
 *
 *     0        8          12       16
 *     | offset | type     | symbol |                      a relocation (SHT_REL)
 */
import { ElfError, type ElfSection, elfSections } from "./sections.js";

const SYMBOL_SIZE = 24;
const RELOCATION_SIZE = 16;
export const SHT_SYMTAB = 2;
export const SHT_REL = 9;
export const SHT_DYNSYM = 11;
/** The section holds instructions. */
export const SHF_EXECINSTR = 4;

/** A symbol. */
export interface ElfSymbol {
  readonly name: string;
  readonly isLocal: boolean;
  readonly type: "notype" | "object" | "func" | "section" | "other";
  /** The index of the section that it lies in; 0: it is defined elsewhere. */
  readonly section: number;
  /** Where in that section it lies, in bytes. */
  readonly value: number;
  /** In bytes. */
  readonly size: number;
}

/** Something to be changed in a section. */
export interface ElfRelocation {
  /** Where in that section, in bytes. */
  readonly offset: number;
  /** R_BPF_*. */
  readonly type: number;
  readonly symbol: ElfSymbol;
}

const TYPES = ["notype", "object", "func", "section"] as const;

/**
 * All symbols of an object, by their index; none where it has no table of them.
 *
 * @param of SHT_SYMTAB, or SHT_DYNSYM: what other objects see of it.
 * @throws {ElfError} The table is damaged
 */
export function elfSymbols(sections: readonly ElfSection[], of: number = SHT_SYMTAB): ElfSymbol[] {
  const table = sections.find(({ type }) => type === of);
  if (table === undefined) return [];
  const names = sections[table.link - 1]?.bytes;
  if (names === undefined) throw new ElfError(`Cannot read ELF symbols: names in section ${table.link}, which is none`);
  const view = viewOf(table.bytes);
  return Array.from({ length: Math.floor(table.bytes.length / SYMBOL_SIZE) }, (_, i) => {
    const at = i * SYMBOL_SIZE;
    const [nameOff, info] = [view.getUint32(at, true), view.getUint8(at + 4)];
    const end = names.indexOf(0, nameOff);
    if (end < 0) throw new ElfError(`Cannot read ELF symbol ${i}: no name at ${nameOff}`);
    return {
      name: new TextDecoder().decode(names.slice(nameOff, end)),
      isLocal: info >> 4 === 0,
      type: TYPES[info & 15] ?? "other",
      section: view.getUint16(at + 6, true),
      value: Number(view.getBigUint64(at + 8, true)),
      size: Number(view.getBigUint64(at + 16, true)),
    };
  });
}

/**
 * What is to be changed in a section, in the file's order.
 *
 * @throws {ElfError} A relocation lies outside of it, or has a symbol that is none
 */
export function elfRelocations(
  sections: readonly ElfSection[],
  symbols: readonly ElfSymbol[],
  of: ElfSection,
): ElfRelocation[] {
  return sections
    .filter(({ type, info }) => type === SHT_REL && info === of.index)
    .flatMap(({ name, bytes }) => {
      const view = viewOf(bytes);
      return Array.from({ length: Math.floor(bytes.length / RELOCATION_SIZE) }, (_, i) => {
        const at = i * RELOCATION_SIZE;
        const offset = Number(view.getBigUint64(at, true));
        const index = view.getUint32(at + 12, true);
        const symbol = symbols[index];
        if (symbol === undefined)
          throw new ElfError(`Cannot read ${name}: relocation ${i} has symbol ${index}, which is none`);
        if (offset >= of.size) {
          throw new ElfError(`Cannot read ${name}: relocation ${i} is at ${offset}, "${of.name}" ends at ${of.size}`);
        }
        return { offset, type: view.getUint32(at + 8, true), symbol };
      });
    });
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

/**
 * Where a function of an executable or a library lies in its file; undefined where it has none of the name.
 *
 * @throws {ElfError} The bytes are no ELF64 file, or damaged
 */
export function elfFunctionOffset(bytes: Uint8Array, name: string): number | undefined {
  const sections = elfSections(bytes);
  for (const table of [SHT_SYMTAB, SHT_DYNSYM]) {
    const symbol = elfSymbols(sections, table).find(
      (one) => one.name === name && one.type === "func" && one.section !== 0,
    );
    const section = symbol && sections[symbol.section - 1];
    if (section !== undefined) return symbol!.value - section.address + (section.bytes.byteOffset - bytes.byteOffset);
  }
  return undefined;
}
