/**
 * BPF object files, as clang makes them: what maps, programs and variables they define. Reads; loading is load.ts's.
 *
 *     .maps             a variable a map: its type is the definition, as BTF tells it
 *     .data .rodata .bss (and .data.*, ...)      variables: each section becomes an array of one elem
 *     license           the license
 *     .text             functions that programs share
 *     xdp, tc, ...      programs: a global function each
 *     .BTF .BTF.ext     types; functions' and lines' places
 */
import { Btf } from "../btf/btf.js";
import { ElfError, type ElfSection, elfSections } from "../elf/sections.js";
import { type ElfSymbol, SHF_EXECINSTR, elfSymbols } from "../elf/symbols.js";
import { type BtfExt, readBtfExt } from "./btf_ext.js";
import { type Linkable, type ProgramCode, linkProgram } from "./link.js";
import { type MapDefinition, dataMap, isDataSection, mapDefinitions } from "./map_definitions.js";
import { ObjectError } from "./object_error.js";
import { type SectionKind, kindOfSection } from "./section_kinds.js";

/** A program that an object defines. */
export interface ProgramDefinition extends SectionKind, ProgramCode {
  /** The function's name. */
  readonly name: string;
  /** The section that it lies in: "xdp", "tracepoint/syscalls/sys_enter_openat". */
  readonly section: string;
}

/** What an object file says. */
export interface ObjectContents {
  readonly license: string;
  /** Of .BTF with what the compiler leaves to the loader: sizes of sections, and where in them variables lie. */
  readonly btf: Btf;
  readonly btfBytes: Uint8Array;
  readonly ext: BtfExt | undefined;
  readonly maps: readonly MapDefinition[];
  readonly programs: readonly ProgramDefinition[];
}

const MACHINE_BPF = 247;

/**
 * Reads an object file.
 *
 * @param name What the names of data sections' maps begin with.
 * @throws {ElfError | BtfError | InsnError | ObjectError} What is wrong, and where
 */
export function readObject(bytes: Uint8Array, name: string): ObjectContents {
  const sections = elfSections(bytes);
  const machine = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint16(18, true);
  if (machine !== MACHINE_BPF) {
    throw new ElfError(`Cannot read ELF object: wanted machine ${MACHINE_BPF} (BPF), found ${machine}`);
  }
  const symbols = elfSymbols(sections);
  const named = (wanted: string): ElfSection | undefined => sections.find((section) => section.name === wanted);
  if (named("maps") !== undefined) {
    throw new ObjectError(
      'Cannot read object: its section "maps" has definitions of before libbpf 1.0; wanted ".maps"',
    );
  }
  refuseExterns(symbols);

  const btfBytes = withPlaces(Btf.fromObject(bytes), named(".BTF")!.bytes, sections, symbols);
  const btf = Btf.parse(btfBytes);
  const ext = named(".BTF.ext");
  const data = sections.filter(isDataSection);
  const maps = [...mapDefinitions(btf, sections, symbols), ...data.map((section) => dataMap(section, name, btf))];
  const linkable: Linkable = { sections, symbols, maps, ext: ext && readBtfExt(ext.bytes, btfBytes) };
  return {
    license: textOf(named("license")),
    btf,
    btfBytes,
    ext: linkable.ext,
    maps,
    programs: programsOf(linkable),
  };
}

function programsOf(linkable: Linkable): ProgramDefinition[] {
  const { sections, symbols } = linkable;
  return sections
    .filter(({ flags, name, size }) => (flags & SHF_EXECINSTR) !== 0 && name !== ".text" && size > 0)
    .flatMap((section) => {
      const kind = kindOfSection(section.name);
      if (kind === undefined) {
        throw new ObjectError(`Cannot read object: section "${section.name}" tells no type of program that is known`);
      }
      return symbols
        .filter(({ type, isLocal, section: index }) => type === "func" && !isLocal && index === section.index)
        .toSorted((a, b) => a.value - b.value)
        .map((symbol) => ({
          ...kind,
          ...linkProgram(linkable, section, symbol),
          name: symbol.name,
          section: section.name,
        }));
    });
}

function textOf(section: ElfSection | undefined): string {
  return new TextDecoder().decode(section?.bytes).replace(/\0.*$/s, "");
}

/** What a loader would have to find elsewhere. */
function refuseExterns(symbols: readonly ElfSymbol[]): void {
  const names = symbols
    .filter(({ section, name, isLocal }) => section === 0 && name !== "" && !isLocal)
    .map(({ name }) => name);
  if (names.length === 0) return;
  throw new ObjectError(`Cannot read object: it wants ${names.join(", ")} from elsewhere, which is not supported`);
}

/** .BTF with sizes of its DATASECs, and offsets of variables in them: the compiler leaves both 0. */
function withPlaces(
  btf: Btf,
  bytes: Uint8Array,
  sections: readonly ElfSection[],
  symbols: readonly ElfSymbol[],
): Uint8Array {
  const result = new Uint8Array(bytes);
  const view = new DataView(result.buffer);
  for (const [id, type] of btf.types()) {
    if (type.kind !== "DATASEC") continue;
    const section = sections.find(({ name }) => name === type.name);
    if (section === undefined) continue;
    const at = btf.offsetOf(id);
    view.setUint32(at + 8, section.size, true);
    type.vars.forEach((variable, i) => {
      const { name } = btf.type(variable.type);
      const symbol = symbols.find((symbol) => symbol.name === name && symbol.section === section.index);
      if (symbol !== undefined) view.setUint32(at + 12 + 12 * i + 4, symbol.value, true);
    });
  }
  return result;
}
