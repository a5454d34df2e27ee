/**
 * BpfObject: an object file, and what becomes of it in a kernel.
 */
import {
  BPF_MAP_CREATE,
  BPF_MAP_FREEZE,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_CGROUP_ARRAY,
  BPF_MAP_TYPE_CPUMAP,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_SOCKHASH,
  BPF_MAP_TYPE_SOCKMAP,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_STACK_TRACE,
  BPF_MAP_TYPE_XSKMAP,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
} from "../uapi/bpf.js";
import { ENOENT } from "../uapi/errno.js";
import { bpfAttr } from "../uapi/layouts.js";
import { cmdName } from "../uapi/names.js";
import { BPF_ATTR_SIZE } from "../uapi/offsets.js";
import type { Btf } from "../btf/btf.js";
import { btfLoad } from "../btf/load.js";
import { BpfError } from "../kernels/error.js";
import type { Kernel, UserBuffer } from "../kernels/kernel.js";
import type { TypedMap } from "../maps/_typed_map.js";
import { type MapInfo, fillAttr, mapCreate, mapFreeze, mapGetInfoByFd, objGet, objPin } from "../kernels/syscalls.js";
import { relocated } from "./core_relo.js";
import type { Insn } from "../insn/insn.js";
import { type Kconfig, fillKconfig } from "./externs.js";
import { KernelSymbols } from "./kernel_symbols.js";
import type { MapReference } from "./link.js";
import type { MapDefinition } from "./map_definitions.js";
import { type ObjectContents, type ProgramDefinition, readObject } from "./object.js";
import { openMap } from "./object_maps.js";
import { ObjectError } from "./object_error.js";
import { Program, type ProgramAttr } from "./program.js";
import { type SectionKind, kindOfSection } from "./section_kinds.js";
import { type Variable, variablesOf } from "./variables.js";

/** How an object is opened. */
export interface ObjectOptions {
  /** What the kernel's names of its data begin with: "packets" makes "packets.rodata". */
  readonly name?: string;
}

/** How an object is loaded. */
export interface LoadOptions {
  /** Only these programs; all unless told. */
  readonly programs?: readonly string[];
  /** Where maps that are shared by name are pinned: a directory of a bpffs. Needed if the object has such maps. */
  readonly pinPath?: string;
  /** The kernel's types, which CO-RE fits programs to: of the running Linux kernel `Btf.fromKernel()`. Needed if programs ask for any. */
  readonly targetBtf?: Btf;
  /**
   * The kernel's configuration, for externs of __kconfig: by default the running Linux kernel's, and of the embedded kernel nothing but
   * LINUX_KERNEL_VERSION, 6.18.
   */
  readonly kconfig?: Kconfig;
  /** Loads all programs as those of a section of this name, whatever theirs is: "xdp", "tracepoint/syscalls/sys_enter_openat". */
  readonly section?: string;
  /** Maps that are there already and take the place of the object's, by its names of them: their fds, which stay the caller's. */
  readonly reuse?: Readonly<Record<string, number>>;
}

/** An object in a kernel. */
interface Loaded {
  readonly maps: Readonly<Record<string, TypedMap>>;
  readonly programs: Readonly<Record<string, Program>>;
  /** The memory of variables, by their section's map. */
  readonly memory: ReadonlyMap<MapDefinition, UserBuffer>;
}

/**
 * An object file: maps, programs and variables, as clang compiled them.
 *
 * @example
 * ```ts
 * using object = BpfObject.open(readFileSync("packets.o"), { name: "packets" });
 * object.variables.limit.set(5);
 * object.load(kernel);
 * object.programs.count.run({ data: packet }).retval;
 * object.maps.counts.get(7);
 * ```
 */
export class BpfObject {
  /** What it defines. */
  readonly definitions: Pick<ObjectContents, "maps" | "programs" | "license">;
  readonly btf: Btf;
  /** Its global variables, by name: before `load` what they are to begin with, then what they are. */
  readonly variables: Readonly<Record<string, Variable>>;
  readonly #contents: ObjectContents;
  #loaded: Loaded | undefined;

  private constructor(contents: ObjectContents) {
    this.#contents = contents;
    this.definitions = contents;
    this.btf = contents.btf;
    this.variables = variablesOf(contents.btf, contents.maps, (map) => this.#loaded?.memory.get(map));
  }

  /**
   * Reads an object file, as `clang -O2 -g -target bpf -c` makes it.
   *
   * @throws {ElfError | BtfError | InsnError | ObjectError} What is wrong with it, and where
   */
  static open(bytes: Uint8Array, { name = "" }: ObjectOptions = {}): BpfObject {
    return new BpfObject(readObject(bytes, name));
  }

  /**
   * Creates its maps, and loads its programs. What was made is gone again when something fails.
   *
   * @throws {VerifierError} A program is refused: its reason, and the line
   * @throws {BpfError} whatever BPF_MAP_CREATE, BPF_BTF_LOAD or BPF_PROG_LOAD answers
   * @throws {ObjectError} It is loaded already; a program is not there; a map is shared by name, and pinPath is not told
   */
  load(kernel: Kernel, options: LoadOptions = {}): this {
    if (this.#loaded !== undefined) throw new ObjectError("Cannot load object: it is loaded already");
    const { programs } = this.#contents;
    const maps = this.#contents.maps.map((map) => withRoom(map, kernel));
    const wanted = options.programs ?? programs.map(({ name }) => name);
    for (const name of wanted) {
      if (programs.some((program) => program.name === name)) continue;
      const names = programs.map((program) => program.name).join(", ");
      throw new ObjectError(`Cannot load object: it has no program "${name}" (it has ${names || "none"})`);
    }
    const { license, btf } = this.#contents;
    const { targetBtf, reuse = {}, pinPath } = options;
    const kind = options.section === undefined ? {} : kindNamed(options.section);
    const symbols = new KernelSymbols(kernel, targetBtf);
    this.#fillKconfig(kernel, options.kconfig);
    using fds = new Fds(kernel);
    const btfFd = fds.keep(loadBtf(kernel, this.#contents));
    // What is put in a map's place is what it is: its type and sizes count, the object's do not.
    const definitions = new Map(maps.map((map) => [map.name, map]));
    for (const map of maps) {
      const fd = reuse[map.name];
      if (fd !== undefined) definitions.set(map.name, asReused(kernel, fd, map));
      fds.maps.set(map.name, fd ?? createMap(fds, map, { pinPath, btfFd }));
    }
    for (const map of maps) if (reuse[map.name] === undefined) putInner(fds, map);

    const loaded = { maps: {} as Record<string, TypedMap>, programs: {} as Record<string, Program>, memory: new Map() };
    try {
      for (const program of programs) {
        if (!wanted.includes(program.name)) continue;
        const fitted = fit(program, btf, targetBtf);
        const settled = symbols.settle(fitted, program.externReferences, program.name);
        const insns = withFds(settled, program.references, fds.maps);
        const attr = { ...program, ...kind, insns, license, btfFd, sourceOf: sourceLines(program, this.#contents.ext) };
        loaded.programs[program.name] = Program.load(kernel, attr);
      }
      for (const map of maps) {
        const fd = fds.maps.get(map.name)!;
        loaded.maps[map.name] = openMap(kernel, lookAt(kernel, fd, map).id, definitions.get(map.name)!, btf);
        if (map.contents !== undefined && definitions.get(map.name) === map) {
          loaded.memory.set(map, kernel.mmap(fd, map.contents.length, { writable: !map.isFrozen }));
        }
      }
    } catch (error) {
      closeAll(loaded);
      throw error;
    }
    this.#loaded = loaded;
    return this;
  }

  /** Its maps, by name, as typed maps: keys and values as BTF tells them. @throws {ObjectError} It is not loaded */
  get maps(): Readonly<Record<string, TypedMap>> {
    return this.#load().maps;
  }

  /** Its programs, by name. @throws {ObjectError} It is not loaded */
  get programs(): Readonly<Record<string, Program>> {
    return this.#load().programs;
  }

  #fillKconfig(kernel: Kernel, given: Kconfig | undefined): void {
    const { btf, maps, externs } = this.#contents;
    const map = maps.find(({ name }) => name === ".kconfig");
    if (map === undefined) return;
    fillKconfig(btf, map, externs, given ?? kernel.places?.config() ?? EMBEDDED_KCONFIG);
  }

  #load(): Loaded {
    if (this.#loaded === undefined) throw new ObjectError("The object is not loaded: call load(kernel) first");
    return this.#loaded;
  }

  /** Closes its programs and maps; those that something else holds stay. */
  close(): void {
    if (this.#loaded !== undefined) closeAll(this.#loaded);
    this.#loaded = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function closeAll({ maps, programs, memory }: Loaded): void {
  for (const buffer of memory.values()) buffer[Symbol.dispose]();
  for (const program of Object.values(programs)) program.close();
  for (const map of Object.values(maps)) map.close();
}

/** The fds that loading takes, and gives back when it is done: typed maps and programs have their own. */
class Fds {
  readonly kernel: Kernel;
  readonly maps = new Map<string, number>();
  readonly #all: number[] = [];

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  keep<F extends number | undefined>(fd: F): F {
    if (fd !== undefined) this.#all.push(fd);
    return fd;
  }

  [Symbol.dispose](): void {
    for (const fd of this.#all) this.kernel.close(fd);
  }
}

/** A kernel that takes no BTF loads programs without records of functions and lines. */
function loadBtf(kernel: Kernel, { btfBytes }: ObjectContents): number | undefined {
  try {
    return btfLoad(kernel, btfBytes);
  } catch (error) {
    if (error instanceof BpfError) return undefined;
    throw error;
  }
}

interface CreateOptions {
  readonly pinPath?: string | undefined;
  readonly btfFd?: number | undefined;
}

function createMap(fds: Fds, map: MapDefinition, { pinPath, btfFd }: CreateOptions = {}): number {
  const { kernel } = fds;
  const path = map.isPinned ? `${pinDirectory(map, pinPath)}/${map.name}` : undefined;
  const pinned = path === undefined ? -ENOENT : objGet(kernel, path);
  if (pinned >= 0) {
    fds.keep(pinned);
    refuseOther(kernel, pinned, map, path!);
    return pinned;
  }
  if (pinned !== -ENOENT) throw failure(`Cannot open map "${map.name}" at "${path}"`, pinned, BPF_OBJ_GET);

  const { inner } = map;
  const template = inner === undefined ? 0 : fds.keep(createMap(fds, { ...inner, isPinned: false }, { btfFd }));
  const attr = {
    mapType: map.type,
    keySize: map.keySize,
    valueSize: map.valueSize,
    maxEntries: map.maxEntries,
    mapFlags: map.mapFlags,
    numaNode: map.numaNode,
    mapExtra: map.mapExtra,
    mapName: map.kernelName.replaceAll(/[^\w.]/g, "_"),
    ...(inner !== undefined && { innerMapFd: template }),
  };
  const hasTypes = btfFd !== undefined && map.valueType !== 0 && !WITHOUT_TYPES.has(map.type);
  const types = { btfFd: btfFd ?? 0, btfKeyTypeId: map.keyType, btfValueTypeId: map.valueType };
  let fd = mapCreate(kernel, hasTypes ? { ...attr, ...types } : attr);
  // As libbpf does: types are for people, and a map is as good without.
  if (fd < 0 && hasTypes) fd = mapCreate(kernel, attr);
  if (fd < 0) throw failure(`Cannot create map "${map.name}"`, fd, BPF_MAP_CREATE);
  fds.keep(fd);
  if (map.contents !== undefined) {
    update(kernel, fd, map.name, 0, map.contents);
    if (map.isFrozen) check(mapFreeze(kernel, fd), `Cannot freeze map "${map.name}"`, BPF_MAP_FREEZE);
  }
  if (path !== undefined) check(objPin(kernel, fd, path), `Cannot pin map "${map.name}" at "${path}"`, BPF_OBJ_PIN);
  return fd;
}

/** 6.18, as KERNEL_VERSION(6, 18, 0) is written. */
const EMBEDDED_KCONFIG: Kconfig = { LINUX_KERNEL_VERSION: (6 << 16) | (18 << 8) };

/** Of these, keys or values are objects of the kernel, or there are no keys: they take no BTF. */
const WITHOUT_TYPES: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_CGROUP_ARRAY,
  BPF_MAP_TYPE_STACK_TRACE,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_CPUMAP,
  BPF_MAP_TYPE_XSKMAP,
  BPF_MAP_TYPE_SOCKMAP,
  BPF_MAP_TYPE_SOCKHASH,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_STACK,
]);

/** A perf_event_array that is as long as it gets: an elem for each CPU, as libbpf has it. */
function withRoom(map: MapDefinition, { possibleCpus }: Kernel): MapDefinition {
  const isOpen = map.type === BPF_MAP_TYPE_PERF_EVENT_ARRAY && map.maxEntries === 0;
  return isOpen ? { ...map, maxEntries: possibleCpus } : map;
}

/** A definition with what a map is that takes its place. Its keys and values are bytes where their sizes are others. */
function asReused(kernel: Kernel, fd: number, map: MapDefinition): MapDefinition {
  const { type, keySize, valueSize, maxEntries, mapFlags } = lookAt(kernel, fd, map);
  const keyType = keySize === map.keySize ? map.keyType : 0;
  const valueType = valueSize === map.valueSize ? map.valueType : 0;
  return { ...map, type, keySize, valueSize, maxEntries, mapFlags, keyType, valueType };
}

function kindNamed(section: string): SectionKind {
  const kind = kindOfSection(section);
  if (kind === undefined) throw new ObjectError(`Cannot load object: no type of program is called "${section}"`);
  return kind;
}

function fit(
  { name, insns, coreRelocations }: ProgramDefinition,
  local: Btf,
  target: Btf | undefined,
): readonly Insn[] {
  if (coreRelocations.length === 0) return insns;
  if (target !== undefined) return relocated(insns, coreRelocations, local, target);
  throw new ObjectError(
    `Cannot load program "${name}": it asks for types of the kernel, wanted targetBtf, for instance Btf.fromKernel()`,
  );
}

/** The line of the source that an instruction of a program is of, by its slot. */
function sourceLines({ lineInfo }: ProgramDefinition, ext: ObjectContents["ext"]): ProgramAttr["sourceOf"] {
  if (ext === undefined) return undefined;
  return (slot) => {
    const record = lineInfo.findLast(({ insnOff }) => insnOff <= slot);
    if (record === undefined) return undefined;
    const [file = 0, text = 0, place = 0] = record.rest;
    // The line is above the ten bits of the column.
    return `${ext.nameAt(file)}:${place >>> 10}: ${ext.nameAt(text).trim()}`;
  };
}

function pinDirectory({ name }: MapDefinition, pinPath: string | undefined): string {
  if (pinPath !== undefined) return pinPath;
  throw new ObjectError(
    `Cannot load object: map "${name}" is shared by its name, wanted pinPath, a directory of a bpffs`,
  );
}

/** Throws unless a map that is pinned already is the one that is defined. */
function refuseOther(kernel: Kernel, fd: number, map: MapDefinition, path: string): void {
  const info = lookAt(kernel, fd, map);
  const differing = (["type", "keySize", "valueSize", "maxEntries", "mapFlags"] as const)
    .filter((field) => info[field] !== map[field])
    .map((field) => `its ${field} is ${info[field]}, wanted ${map[field]}`);
  if (differing.length > 0)
    throw new ObjectError(`Cannot share map "${map.name}" at "${path}": ${differing.join("; ")}`);
}

function lookAt(kernel: Kernel, fd: number, map: MapDefinition): MapInfo {
  const info = mapGetInfoByFd(kernel, fd);
  if (typeof info === "number") throw failure(`Cannot look at map "${map.name}"`, info, BPF_OBJ_GET_INFO_BY_FD);
  return info;
}

/** Puts the maps into a map of maps that it has from the start. */
function putInner({ kernel, maps }: Fds, outer: MapDefinition): void {
  for (const { index, map } of outer.initial) {
    const fd = maps.get(map);
    if (fd === undefined) throw new ObjectError(`Cannot load object: "${map}", in "${outer.name}", is no map of it`);
    update(kernel, maps.get(outer.name)!, outer.name, index, new Uint8Array(Int32Array.of(fd).buffer));
  }
}

function update(kernel: Kernel, fd: number, name: string, index: number, value: Uint8Array): void {
  using buffer = kernel.alloc(8 + value.length);
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  new DataView(buffer.bytes.buffer, buffer.bytes.byteOffset).setUint32(0, index, true);
  buffer.bytes.set(value, 8);
  fillAttr(attr, bpfAttr.mapElem, { map_fd: fd, key: buffer.address, value: buffer.address + 8 });
  check(kernel.bpf(BPF_MAP_UPDATE_ELEM, attr), `Cannot fill map "${name}"`, BPF_MAP_UPDATE_ELEM);
}

/** A program's instructions, with the fds of maps. */
function withFds(
  insns: readonly Insn[],
  references: readonly MapReference[],
  maps: ReadonlyMap<string, number>,
): Insn[] {
  const bySlot = new Map(references.map(({ slot, map }) => [slot, maps.get(map.name)!]));
  let slot = 0;
  return insns.map((insn) => {
    const fd = bySlot.get(slot);
    slot += insn.opcode.slots;
    return fd === undefined ? insn : { ...insn, imm: fd };
  });
}

function check(ret: number, what: string, cmd: number): void {
  if (ret < 0) throw failure(what, ret, cmd);
}

function failure(what: string, ret: number, cmd: number): BpfError {
  return new BpfError(what, ret, { cmd: cmdName(cmd) });
}
