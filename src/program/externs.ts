/**
 * Externs: what an object wants from elsewhere. Values of the kernel's configuration lie in a map of their own, ".kconfig", which is filled when
 * the object is loaded; symbols of the kernel are put into the instructions then.
 *
 *     extern int CONFIG_HZ __kconfig;                  a VAR in the DATASEC .kconfig, not in any section of the file
 *     extern const void bpf_link_fops __ksym;          a VAR of type void in .ksyms: the address, of /proc/kallsyms
 *     extern const struct rq runqueues __ksym;         the same with a type: its id in the kernel's BTF
 *     extern void bpf_rcu_read_lock(void) __ksym;      a FUNC in .ksyms: a function of the kernel, by its id there
 */
import type { Btf } from "../btf/btf.js";
import type { BtfId } from "../btf/types.js";
import type { ElfSymbol } from "../elf/symbols.js";
import { BPF_F_MMAPABLE, BPF_F_RDONLY_PROG, BPF_MAP_TYPE_ARRAY } from "../uapi/bpf.js";
import type { MapDefinition } from "./map_definitions.js";
import { ObjectError } from "./object_error.js";

/** Something that an object wants from elsewhere. */
export interface Extern {
  readonly name: string;
  readonly kind: "kconfig" | "ksym" | "typed ksym" | "kfunc";
  /** The object can do without: it is 0 then. */
  readonly isWeak: boolean;
  /** Its type in the object's BTF. */
  readonly type: BtfId;
  /** Where it lies in .kconfig. */
  readonly offset: number;
}

const KCONFIG = ".kconfig";
const KSYMS = ".ksyms";
const ALIGN = 8;
const BTF_KIND_STRUCT = 4;
const LINKAGE_GLOBAL = 1;

/**
 * What symbols that lie in no section want.
 *
 * @throws {ObjectError} One is neither of the kernel's configuration nor a symbol of it
 */
export function externsOf(btf: Btf, symbols: readonly ElfSymbol[]): Extern[] {
  const wanted = symbols.filter(({ section, name, isLocal }) => section === 0 && name !== "" && !isLocal);
  if (wanted.length === 0) return [];
  const found: Extern[] = [];
  let offset = 0;
  for (const section of [KCONFIG, KSYMS]) {
    for (const id of membersOf(btf, section)) {
      const type = btf.type(id);
      const symbol = wanted.find(({ name }) => name === type.name);
      if (symbol === undefined) continue;
      const { name, isWeak } = symbol;
      if (type.kind === "FUNC") {
        found.push({ name, isWeak, kind: "kfunc", type: id, offset: 0 });
      } else if (type.kind === "VAR" && section === KCONFIG) {
        found.push({ name, isWeak, kind: "kconfig", type: type.type, offset });
        offset += Math.ceil(btf.sizeOf(type.type) / ALIGN) * ALIGN;
      } else if (type.kind === "VAR") {
        const isTyped = btf.type(btf.resolve(type.type)).kind !== "VOID";
        found.push({ name, isWeak, kind: isTyped ? "typed ksym" : "ksym", type: type.type, offset: 0 });
      }
    }
  }
  const missing = wanted.filter(({ name }) => !found.some((one) => one.name === name)).map(({ name }) => name);
  if (missing.length === 0) return found;
  throw new ObjectError(
    `Cannot read object: it wants ${missing.join(", ")} from elsewhere, which is neither __kconfig nor __ksym`,
  );
}

function membersOf(btf: Btf, section: string): BtfId[] {
  const id = btf.find(section, "DATASEC");
  const type = id === undefined ? undefined : btf.type(id);
  return type?.kind === "DATASEC" ? type.vars.map((variable) => variable.type) : [];
}

/**
 * Makes of BTF what a kernel takes: externs are variables and functions like others, .kconfig has a layout, and .ksyms, which lies nowhere, is a
 * struct.
 *
 * @param bytes Changed in place.
 */
export function settleExterns(btf: Btf, bytes: Uint8Array, externs: readonly Extern[]): void {
  if (externs.length === 0) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const int = [...btf.types()].find(([, type]) => type.kind === "INT" && type.size === 4)?.[0] ?? 0;
  const kconfig = btf.find(KCONFIG, "DATASEC");
  if (kconfig !== undefined) {
    const at = btf.offsetOf(kconfig);
    view.setUint32(at + 8, kconfigSize(btf, externs), true);
    for (const [i, id] of membersOf(btf, KCONFIG).entries()) {
      view.setUint32(btf.offsetOf(id) + 12, LINKAGE_GLOBAL, true);
      const one = externs.find(({ name }) => name === btf.type(id).name);
      view.setUint32(at + 12 + 12 * i + 4, one?.offset ?? 0, true);
      view.setUint32(at + 12 + 12 * i + 8, one === undefined ? 0 : btf.sizeOf(one.type), true);
    }
  }
  const ksyms = btf.find(KSYMS, "DATASEC");
  if (ksyms === undefined) return;
  const at = btf.offsetOf(ksyms);
  const members = membersOf(btf, KSYMS);
  view.setUint32(at, 0, true);
  view.setUint32(at + 4, (BTF_KIND_STRUCT << 24) | members.length, true);
  view.setUint32(at + 8, 4 * members.length, true);
  for (const [i, id] of members.entries()) {
    const member = at + 12 + 12 * i;
    view.setUint32(member, 0, true);
    view.setUint32(member + 4, int, true);
    view.setUint32(member + 8, 32 * i, true);
    const own = btf.offsetOf(id);
    const type = btf.type(id);
    if (type.kind === "VAR") {
      view.setUint32(own + 8, int, true);
      view.setUint32(own + 12, LINKAGE_GLOBAL, true);
    } else if (type.kind === "FUNC") {
      view.setUint32(own + 4, (view.getUint32(own + 4, true) & ~0xffff) | LINKAGE_GLOBAL, true);
      nameParameters(btf, view, type.type, view.getUint32(own, true));
    }
  }
}

/** Functions' parameters must have names, and clang gives those of externs none. */
function nameParameters(btf: Btf, view: DataView, proto: BtfId, name: number): void {
  const type = btf.type(proto);
  if (type.kind !== "FUNC_PROTO") return;
  const at = btf.offsetOf(proto) + 12;
  type.params.forEach((param, i) => {
    if (param.name === "" && param.type !== 0) view.setUint32(at + 8 * i, name, true);
  });
}

function kconfigSize(btf: Btf, externs: readonly Extern[]): number {
  const all = externs.filter(({ kind }) => kind === "kconfig");
  return Math.max(0, ...all.map(({ offset, type }) => offset + Math.ceil(btf.sizeOf(type) / ALIGN) * ALIGN));
}

/** The map of .kconfig; undefined where there is none. */
export function kconfigMap(btf: Btf, externs: readonly Extern[], objectPrefix: string): MapDefinition | undefined {
  const size = kconfigSize(btf, externs);
  if (size === 0) return undefined;
  return {
    name: KCONFIG,
    kernelName: `${objectPrefix}${KCONFIG}`.slice(0, 15),
    type: BPF_MAP_TYPE_ARRAY,
    keySize: 4,
    valueSize: size,
    maxEntries: 1,
    mapFlags: BPF_F_MMAPABLE | BPF_F_RDONLY_PROG,
    numaNode: 0,
    mapExtra: 0n,
    keyType: 0,
    valueType: btf.find(KCONFIG, "DATASEC") ?? 0,
    isPinned: false,
    inner: undefined,
    initial: [],
    symbol: undefined,
    dataSection: undefined,
    contents: new Uint8Array(size),
    isFrozen: true,
  };
}

/** The kernel's configuration: a text as of /proc/config.gz, or values by their names. */
export type Kconfig = string | Readonly<Record<string, string | number | bigint | boolean>>;

/**
 * Fills .kconfig.
 *
 * @throws {ObjectError} A value is missing that the object cannot do without, or is not of its type
 */
export function fillKconfig(btf: Btf, map: MapDefinition, externs: readonly Extern[], kconfig: Kconfig): void {
  const values = valuesOf(kconfig);
  const bytes = map.contents!;
  for (const { name, kind, type, offset, isWeak } of externs) {
    if (kind !== "kconfig") continue;
    const size = btf.sizeOf(type);
    const text = values.get(name);
    bytes.fill(0, offset, offset + size);
    if (text !== undefined) writeValue(btf, bytes.subarray(offset, offset + size), name, type, text);
    else if (!isWeak) {
      throw new ObjectError(`Cannot load object: the kernel's configuration has no ${name}: tell it by kconfig`);
    }
  }
}

function valuesOf(kconfig: Kconfig): Map<string, string> {
  if (typeof kconfig !== "string") {
    const asText = (value: string | number | bigint | boolean): string =>
      typeof value === "boolean" ? (value ? "y" : "n") : String(value);
    return new Map(Object.entries(kconfig).map(([name, value]) => [name, asText(value)]));
  }
  return new Map([...kconfig.matchAll(/^(\w+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]));
}

/** enum libbpf_tristate, which characters have too. */
const TRISTATE: Readonly<Record<string, number>> = { n: 0, y: 1, m: 2 };

function writeValue(btf: Btf, bytes: Uint8Array, name: string, id: BtfId, text: string): void {
  const type = btf.type(btf.resolve(id));
  const refuse = (wanted: string): never => {
    throw new ObjectError(`Cannot load object: ${name} is ${text}, wanted ${wanted}`);
  };
  if (type.kind === "ARRAY") {
    const unquoted = text.replace(/^"(.*)"$/s, "$1").replaceAll(/\\(.)/gs, "$1");
    const encoded = new TextEncoder().encode(unquoted);
    bytes.set(encoded.subarray(0, bytes.length - 1));
    return;
  }
  if (text in TRISTATE) {
    if (type.kind === "INT" && type.encoding === "BOOL" && text === "m") refuse("y or n");
    const isLetter = type.kind === "INT" && type.size === 1 && type.encoding !== "BOOL";
    bytes[0] = isLetter ? text.charCodeAt(0) : TRISTATE[text]!;
    return;
  }
  if (!/^-?(0x[\da-f]+|\d+)$/i.test(text)) refuse("a number, y, n or m");
  const value = text.startsWith("-") ? -BigInt(text.slice(1)) : BigInt(text);
  const bits = BigInt(8 * bytes.length);
  if (value >= 1n << bits || value < -(1n << (bits - 1n))) refuse(`a number of ${bytes.length} bytes`);
  for (let i = 0n; i < bits; i += 8n) bytes[Number(i / 8n)] = Number((value >> i) & 0xffn);
}
