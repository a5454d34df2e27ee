/**
 * gen types OBJ [name NAME]: TypeScript for an object file: types of what its maps and variables hold, and a class that has them typed.
 */
import { readFileSync } from "node:fs";
import { type Btf, MAX_DEPTH } from "../btf/btf.js";
import type { BtfComposite, BtfEnum, BtfEnum64, BtfId } from "../btf/types.js";
import { BpfObject } from "../program/bpf_object.js";
import type { MapDefinition } from "../program/map_definitions.js";
import * as bpf from "../uapi/bpf.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError, isForUser } from "./failures.js";
import { objectName } from "./prog_load.js";

/** gen types OBJ [name NAME] */
export function genTypes(context: Context, args: Args): void {
  args.need(1);
  const file = args.take();
  let name = objectName(file);
  if (args.takeIf("name")) name = args.take();
  if (args.left > 0) throw new ArgsError(`what is '${args.next}'?`);
  const className = pascal(name);
  if (!/^[A-Z]\w*$/.test(className)) throw new ArgsError(`'${name}' makes no name of a class: say name NAME`);
  try {
    using object = BpfObject.open(readFileSync(file), { name: objectName(file) });
    const text = typesOf(object, className, name);
    if (context.out.json === undefined) context.out.text(text);
    else context.out.json.string(text);
  } catch (error) {
    if (!isForUser(error)) throw error;
    context.fail(`failed to open object file: ${error.message}`);
  }
}

/** The text of a module that has a class `className` for an object. */
export function typesOf(object: BpfObject, className: string, name: string): string {
  const types = new Types(
    object.btf,
    [className, "Maps", "Programs", "Variables"].map((part, i) => (i === 0 ? part : className + part)),
  );
  const { maps, programs } = object.definitions;
  const mapRows = maps.map((map) => [map.name, types.map(map)] as const);
  const programRows = programs.map((program) => [program.name, "Program", program.section] as const);
  const variableRows = variablesOf(object.btf, maps).map(
    ({ name, type, section }) => [name, `Variable<${types.type(type)}>`, section] as const,
  );
  const classes = [...types.classes].sort().join(", ");
  const imported = [classes, "Kernel"].filter(Boolean).join(", ");
  const used = ["BpfObject", "type LoadOptions", "type Program", variableRows.length > 0 ? "type Variable" : ""];
  return `/**
 * Types and maps of the object "${name}", written by "tsbpf gen types". Do not edit.
 */
import type { ${imported} } from "tsbpf";
import { ${used.filter(Boolean).join(", ")} } from "tsbpf/program";
${types.declarations.map((text) => `\n${text}`).join("")}
/** Maps of the object, by their names in it. */
${interfaceText(`${className}Maps`, mapRows)}
/** Programs of the object. */
${interfaceText(`${className}Programs`, programRows)}
/** Global variables of the object. */
${interfaceText(`${className}Variables`, variableRows)}
/** The object: open it, set its variables, load it. */
export class ${className} {
  readonly object: BpfObject;

  private constructor(object: BpfObject) {
    this.object = object;
  }

  /** Reads the object file. @throws what BpfObject.open throws */
  static open(bytes: Uint8Array): ${className} {
    return new ${className}(BpfObject.open(bytes, { name: ${JSON.stringify(name)} }));
  }

  /** Creates its maps, and loads its programs. @throws what BpfObject.load throws */
  load(kernel: Kernel, options?: LoadOptions): this {
    this.object.load(kernel, options);
    return this;
  }

  get maps(): ${className}Maps {
    return this.object.maps as unknown as ${className}Maps;
  }

  get programs(): ${className}Programs {
    return this.object.programs as unknown as ${className}Programs;
  }

  get variables(): ${className}Variables {
    return this.object.variables as unknown as ${className}Variables;
  }

  /** Closes its programs and maps. */
  close(): void {
    this.object.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
`;
}

function interfaceText(name: string, rows: readonly (readonly [name: string, type: string, doc?: string])[]): string {
  if (rows.length === 0) return `export type ${name} = Readonly<Record<never, never>>;\n`;
  const lines = rows.map(([key, type, doc]) => {
    const comment = doc === undefined ? "" : `  /** ${doc} */\n`;
    return `${comment}  readonly ${property(key)}: ${type};\n`;
  });
  return `export interface ${name} {\n${lines.join("")}}\n`;
}

const property = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

/** "flow_key" is FlowKey. */
function pascal(name: string): string {
  return name
    .split(/[^A-Za-z0-9]+/)
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join("");
}

interface VariableRow {
  readonly name: string;
  readonly type: BtfId;
  readonly section: string;
}

function variablesOf(btf: Btf, maps: readonly MapDefinition[]): VariableRow[] {
  return maps.flatMap((map) => {
    const section = map.contents === undefined ? undefined : btf.type(map.valueType);
    if (section?.kind !== "DATASEC") return [];
    return section.vars.flatMap(({ type }) => {
      const variable = btf.type(type);
      return variable.kind === "VAR" ? [{ name: variable.name, type: variable.type, section: map.name }] : [];
    });
  });
}

/** Classes of maps whose elems have a key and a value, a value, or neither; as object_maps.ts opens them. */
const KEYED: Readonly<Record<number, string>> = {
  [bpf.BPF_MAP_TYPE_HASH]: "HashMap",
  [bpf.BPF_MAP_TYPE_LRU_HASH]: "LruHashMap",
  [bpf.BPF_MAP_TYPE_PERCPU_HASH]: "PerCpuHashMap",
  [bpf.BPF_MAP_TYPE_LRU_PERCPU_HASH]: "LruPerCpuHashMap",
  [bpf.BPF_MAP_TYPE_LPM_TRIE]: "LpmTrie",
};
const VALUED: Readonly<Record<number, string>> = {
  [bpf.BPF_MAP_TYPE_ARRAY]: "ArrayMap",
  [bpf.BPF_MAP_TYPE_PERCPU_ARRAY]: "PerCpuArray",
  [bpf.BPF_MAP_TYPE_QUEUE]: "QueueMap",
  [bpf.BPF_MAP_TYPE_STACK]: "StackMap",
  [bpf.BPF_MAP_TYPE_BLOOM_FILTER]: "BloomFilter",
};
const PLAIN: Readonly<Record<number, string>> = {
  [bpf.BPF_MAP_TYPE_RINGBUF]: "RingBuffer",
  [bpf.BPF_MAP_TYPE_USER_RINGBUF]: "UserRingBuffer",
  [bpf.BPF_MAP_TYPE_PROG_ARRAY]: "ProgramArray",
  [bpf.BPF_MAP_TYPE_PERF_EVENT_ARRAY]: "PerfEventArray",
  [bpf.BPF_MAP_TYPE_DEVMAP]: "DevMap",
  [bpf.BPF_MAP_TYPE_DEVMAP_HASH]: "DevMapHash",
};

/** Types in TypeScript's words: those that codec_from_btf.ts reads and writes. Structs and enums are declared as they are met. */
class Types {
  /** Of tsbpf, that are named. */
  readonly classes = new Set<string>();
  readonly declarations: string[] = [];
  readonly #btf: Btf;
  readonly #names = new Map<BtfId, string>();
  readonly #taken: Set<string>;

  constructor(btf: Btf, taken: readonly string[]) {
    this.#btf = btf;
    this.#taken = new Set([...taken, "BpfObject", "Kernel", "LoadOptions", "Program", "Variable"]);
    for (const name of [
      ...Object.values({ ...KEYED, ...VALUED, ...PLAIN }),
      "ArrayOfMaps",
      "HashOfMaps",
      "GenericMap",
    ]) {
      this.#taken.add(name);
    }
  }

  map(map: MapDefinition): string {
    const named = (name: string, ...of: string[]): string => {
      this.classes.add(name);
      return of.length === 0 ? name : `${name}<${of.join(", ")}>`;
    };
    const key = (): string => this.#elem(map.keyType);
    const inner = (): string => (map.inner === undefined ? named("GenericMap") : this.map(map.inner));
    if (map.type === bpf.BPF_MAP_TYPE_ARRAY_OF_MAPS) return named("ArrayOfMaps", inner());
    if (map.type === bpf.BPF_MAP_TYPE_HASH_OF_MAPS) return named("HashOfMaps", key(), inner());
    const [keyed, valued, plain] = [KEYED[map.type], VALUED[map.type], PLAIN[map.type]];
    if (keyed !== undefined) return named(keyed, key(), this.#elem(map.valueType));
    if (valued !== undefined) return named(valued, this.#elem(map.valueType));
    return named(plain ?? "GenericMap");
  }

  /** Of keys and values: bytes where only their sizes are told, and where they are variables. */
  #elem(id: BtfId): string {
    return id === 0 || this.#btf.type(id).kind === "DATASEC" ? "Uint8Array" : this.type(id);
  }

  type(id: BtfId, depth = 0): string {
    const resolved = this.#btf.resolve(id);
    const type = this.#btf.type(resolved);
    const size = this.#btf.sizeOf(resolved);
    if (depth > MAX_DEPTH) return "Uint8Array";
    switch (type.kind) {
      case "INT":
        return type.encoding === "BOOL" && size === 1 ? "boolean" : integer(size);
      case "ENUM":
      case "ENUM64":
        this.#declareEnum(resolved, type);
        return integer(size);
      case "PTR":
        return "bigint";
      case "FLOAT":
        return size === 4 || size === 8 ? "number" : "Uint8Array";
      case "ARRAY": {
        const elem = this.#btf.type(this.#btf.resolve(type.type));
        if (elem.kind === "INT" && elem.size === 1 && elem.name === "char") return "string";
        if (elem.kind === "INT" && elem.size === 1 && elem.name === "unsigned char") return "Uint8Array";
        return `${this.type(type.type, depth + 1)}[]`;
      }
      case "STRUCT":
        return this.#struct(id, resolved, type, depth);
      default:
        return "Uint8Array";
    }
  }

  #struct(id: BtfId, resolved: BtfId, type: BtfComposite, depth: number): string {
    const known = this.#names.get(resolved);
    if (known !== undefined) return known;
    const cName = type.name === "" ? this.#typedefOf(id) : type.name;
    if (cName === undefined) return `{ ${this.#members(type, depth).join(" ")} }`;
    const name = this.#nameFor(cName);
    this.#names.set(resolved, name);
    const members = this.#members(type, depth).map((line) => `  ${line}\n`);
    const word = type.name === "" ? cName : `struct ${cName}`;
    this.declarations.push(`/** ${word}, ${type.size} bytes. */\nexport interface ${name} {\n${members.join("")}}\n`);
    return name;
  }

  #members(type: BtfComposite, depth: number, base = 0): string[] {
    return type.members.flatMap((member) => {
      const inner = this.#btf.type(this.#btf.resolve(member.type));
      if (this.#btf.sizeOf(member.type) === 0 || depth > MAX_DEPTH) return [];
      const off = base + member.bitsOffset;
      if (member.name === "" && inner.kind === "STRUCT") return this.#members(inner, depth + 1, off);
      // A bit-field is what its type is, whatever that has bits.
      const isBits = member.bitfieldSize > 0 && inner.kind === "INT" && inner.encoding === "BOOL";
      const text = isBits ? "boolean" : this.type(member.type, depth + 1);
      return [`${property(member.name === "" ? `anon_${off / 8}` : member.name)}: ${text};`];
    });
  }

  #declareEnum(id: BtfId, type: BtfEnum | BtfEnum64): void {
    if (type.name === "" || this.#names.has(id)) return;
    const name = this.#nameFor(type.name);
    this.#names.set(id, name);
    const suffix = type.size > 4 ? "n" : "";
    const rows = type.values.map(({ name, val }) => `  ${property(name)}: ${val}${suffix},\n`);
    this.declarations.push(`/** enum ${type.name} */\nexport const ${name} = {\n${rows.join("")}} as const;\n`);
  }

  /** What a struct without a name is called by those that use it. */
  #typedefOf(id: BtfId): string | undefined {
    for (let at = id, depth = 0; depth < MAX_DEPTH; depth++) {
      const type = this.#btf.type(at);
      if (type.kind === "TYPEDEF") return type.name;
      if (type.kind !== "CONST" && type.kind !== "VOLATILE" && type.kind !== "RESTRICT" && type.kind !== "TYPE_TAG") {
        return undefined;
      }
      at = type.type;
    }
    return undefined;
  }

  #nameFor(cName: string): string {
    const wanted = pascal(cName) || "Anonymous";
    const begin = /^\d/.test(wanted) ? `_${wanted}` : wanted;
    let name = begin;
    for (let n = 2; this.#taken.has(name); n++) name = `${begin}${n}`;
    this.#taken.add(name);
    return name;
  }
}

function integer(size: number): string {
  if (size === 8) return "bigint";
  return size === 1 || size === 2 || size === 4 ? "number" : "Uint8Array";
}
