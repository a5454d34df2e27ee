/**
 * Maps that an object defines: variables in .maps, whose type is the definition, and sections of data.
 *
 *     struct {
 *       __uint(type, BPF_MAP_TYPE_HASH);       a pointer to an array of that many elems: the number
 *       __type(key, struct flow);              a pointer to the type
 *       __array(values, struct inner);         an array of pointers to it: what a map of maps holds
 *     } flows SEC(".maps");
 */
import type { Btf } from "../btf/btf.js";
import type { BtfComposite, BtfId } from "../btf/types.js";
import type { ElfSection } from "../elf/sections.js";
import { type ElfSymbol, elfRelocations } from "../elf/symbols.js";
import { BPF_F_MMAPABLE, BPF_F_RDONLY_PROG, BPF_MAP_TYPE_ARRAY } from "../uapi/bpf.js";
import { ObjectError } from "./object_error.js";

/** A map, as an object defines it. */
export interface MapDefinition {
  /** What the object calls it. */
  readonly name: string;
  /** What the kernel is told: at most 15 letters. */
  readonly kernelName: string;
  /** BPF_MAP_TYPE_*. */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly mapFlags: number;
  readonly numaNode: number;
  readonly mapExtra: bigint;
  /** 0 where the definition gives sizes only. */
  readonly keyType: BtfId;
  readonly valueType: BtfId;
  /** LIBBPF_PIN_BY_NAME: it is shared by its name, in a directory that the loader is told. */
  readonly isPinned: boolean;
  /** What it holds, of a map of maps. */
  readonly inner: MapDefinition | undefined;
  /** The maps that it holds from the start, by index. */
  readonly initial: readonly { readonly index: number; readonly map: string }[];
  /** Where it is defined, of a variable in .maps. */
  readonly symbol: ElfSymbol | undefined;
  /** The section that it has the contents of, its index; undefined of others. */
  readonly dataSection: number | undefined;
  /** Its first elem, of a section of data. */
  readonly contents: Uint8Array | undefined;
  /** Nobody writes it once it is loaded. */
  readonly isFrozen: boolean;
}

/** Maps' names end here: 15 letters, and the prefix of data sections takes 8 of them. */
const NAME_LETTERS = 15;
const PREFIX_LETTERS = 8;
const LIBBPF_PIN_BY_NAME = 1;

/** The numbers of a definition. */
const NUMBERS = [
  "type",
  "max_entries",
  "map_flags",
  "key_size",
  "value_size",
  "numa_node",
  "map_extra",
  "pinning",
] as const;

/**
 * What .maps defines, in the order of BTF's variables.
 *
 * @throws {ObjectError} A definition is not one: which map, and which of its fields
 */
export function mapDefinitions(
  btf: Btf,
  sections: readonly ElfSection[],
  symbols: readonly ElfSymbol[],
): MapDefinition[] {
  const section = sections.find(({ name }) => name === ".maps");
  const datasec = btf.find(".maps", "DATASEC");
  if (section === undefined || datasec === undefined) return [];
  const type = btf.type(datasec);
  if (type.kind !== "DATASEC") return [];
  const relocations = elfRelocations(sections, symbols, section);
  return type.vars.map(({ type: variable }) => {
    const { name, type: id } = btf.type(variable) as { name: string; type: BtfId };
    const symbol = symbols.find((symbol) => symbol.section === section.index && symbol.name === name);
    if (symbol === undefined) throw new ObjectError(`Cannot read map "${name}": it has no symbol in .maps`);
    const struct = structOf(btf, id, name);
    const { definition, valuesOff } = define(btf, struct, name, symbol);
    const initial = relocations
      .filter(({ offset }) => offset >= symbol.value && offset < symbol.value + symbol.size)
      .map(({ offset, symbol: { name } }) => ({ index: (offset - symbol.value - valuesOff) / 8, map: name }));
    return { ...definition, initial };
  });
}

function structOf(btf: Btf, id: BtfId, name: string): BtfComposite {
  const type = btf.type(btf.resolve(id));
  if (type.kind !== "STRUCT") throw new ObjectError(`Cannot read map "${name}": wanted a struct, found ${type.kind}`);
  return type;
}

/** @returns The definition, and where in the variable the values of a map of maps begin, in bytes. */
function define(
  btf: Btf,
  struct: BtfComposite,
  name: string,
  symbol: ElfSymbol | undefined,
): { definition: MapDefinition; valuesOff: number } {
  const numbers: Partial<Record<(typeof NUMBERS)[number], number>> = {};
  const types = { key: 0, value: 0 };
  let inner: MapDefinition | undefined;
  let valuesOff = 0;
  const refuse = (field: string, found: string): never => {
    throw new ObjectError(`Cannot read map "${name}": its ${field} ${found}`);
  };
  for (const { name: field, type: id, bitsOffset } of struct.members) {
    if (field === "key" || field === "value") {
      types[field] = pointee(btf, id) ?? refuse(field, "is no pointer to a type");
    } else if (field === "values") {
      inner = innerOf(btf, id, name);
      valuesOff = bitsOffset / 8;
    } else if ((NUMBERS as readonly string[]).includes(field)) {
      const to = pointee(btf, id);
      const array = to === undefined ? undefined : btf.type(btf.resolve(to));
      if (array?.kind !== "ARRAY") return refuse(field, "is no number as __uint makes it");
      numbers[field as (typeof NUMBERS)[number]] = array.nrElems;
    } else {
      refuse(`field "${field}"`, "is not known");
    }
  }
  const sized = (which: "key" | "value", given: number | undefined): number => {
    if (types[which] === 0) return given ?? 0;
    const size = btf.sizeOf(types[which]);
    if (given !== undefined && given !== size) refuse(`${which}_size`, `is ${given}, and its type has ${size} bytes`);
    return size;
  };
  const definition = {
    name,
    kernelName: name.slice(0, NAME_LETTERS),
    type: numbers.type ?? refuse("type", "is missing"),
    keySize: sized("key", numbers.key_size),
    // The value of a map of maps is a map's fd.
    valueSize: inner === undefined ? sized("value", numbers.value_size) : 4,
    maxEntries: numbers.max_entries ?? 0,
    mapFlags: numbers.map_flags ?? 0,
    numaNode: numbers.numa_node ?? 0,
    mapExtra: BigInt(numbers.map_extra ?? 0),
    keyType: types.key,
    valueType: types.value,
    isPinned: numbers.pinning === LIBBPF_PIN_BY_NAME,
    inner,
    initial: [],
    symbol,
    dataSection: undefined,
    contents: undefined,
    isFrozen: false,
  };
  return { definition, valuesOff };
}

/** What a pointer points to; undefined where it is none. */
function pointee(btf: Btf, id: BtfId): BtfId | undefined {
  const type = btf.type(btf.resolve(id));
  return type.kind === "PTR" ? type.type : undefined;
}

function innerOf(btf: Btf, id: BtfId, name: string): MapDefinition {
  const values = btf.type(btf.resolve(id));
  const of = values.kind === "ARRAY" ? pointee(btf, values.type) : undefined;
  if (of === undefined) throw new ObjectError(`Cannot read map "${name}": its values are no array of pointers`);
  return define(btf, structOf(btf, of, name), `${name}.inner`, undefined).definition;
}

/** Of a section of variables, in bytes: more is damage, or at least no object that anyone has compiled. */
const MOST_DATA = 1 << 30;
const DATA = /^\.(data|rodata|bss)(\.|$)/;

/** Whether a section holds variables. */
export function isDataSection({ name, size }: ElfSection): boolean {
  return DATA.test(name) && size > 0;
}

/** libbpf's name of a section's map: a section that has a name of its own, ".data.mine", lends it. */
export function dataMapName(section: string, object: string): string {
  return section.lastIndexOf(".") > 0 ? section : `${object.slice(0, PREFIX_LETTERS)}${section}`;
}

/** The map of a section of variables. */
export function dataMap(section: ElfSection, object: string, btf: Btf): MapDefinition {
  const { name, size, bytes, index } = section;
  const isConst = name.startsWith(".rodata");
  if (size > MOST_DATA) {
    throw new ObjectError(`Cannot read section "${name}": wanted at most ${MOST_DATA} bytes, found ${size}`);
  }
  const contents = new Uint8Array(size);
  contents.set(bytes);
  return {
    name,
    kernelName: dataMapName(name, object).slice(0, NAME_LETTERS),
    type: BPF_MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: size,
    maxEntries: 1,
    mapFlags: BPF_F_MMAPABLE | (isConst ? BPF_F_RDONLY_PROG : 0),
    numaNode: 0,
    mapExtra: 0n,
    keyType: 0,
    valueType: btf.find(name, "DATASEC") ?? 0,
    isPinned: false,
    inner: undefined,
    initial: [],
    symbol: undefined,
    dataSection: index,
    contents,
    isFrozen: isConst,
  };
}
