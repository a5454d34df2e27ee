/**
 * A kernel with an arena and a table of fds: it takes steps that name no kernel, and gives answers that name none.
 *
 * Answers that Linux leaves open are made the same on every kernel (canonical.ts), after they were checked to be possible ones.
 */
import { posix } from "node:path";
import { BpfError, type Kernel, type UserBuffer } from "tsbpf";
import {
  BPF_ATTR_SIZE,
  BPF_BTF_GET_FD_BY_ID,
  BPF_BTF_LOAD,
  BPF_MAP_CREATE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_TYPE_ARRAY,
  BPF_OBJ_GET,
  BPF_OBJ_PIN,
  EBADF,
  EFAULT,
  bpfAttr,
} from "tsbpf/uapi";
import { ATTR, Arena, END, IN, KEY, NEXT } from "./arena.js";
import { type AskedOf, canonicalReturn } from "./canonical.js";
import type { Answer, Command, Data, Step, Word } from "./command.js";
import type { PinFolder } from "./pin_folder.js";
import { type MapFacts, Probe, type Walk, isHash, isMapInMap } from "./probe.js";

/** An fd that no process has open. */
const NO_FD = 0x7ffffff0;
const PATH_ROOM = 16384;
/** How long a map may outlive what held it. */
const MAX_WAIT_MS = 2000;

interface Slot {
  fd: number;
  open: boolean;
  map: MapFacts | undefined;
  /** Of a BTF object's fd. */
  btfId: number | undefined;
}

export class Machine implements AskedOf {
  readonly kernel: Kernel;
  readonly arena: Arena;
  readonly probe: Probe;
  readonly #pins: PinFolder;
  readonly #path: UserBuffer;
  readonly #slots: Slot[] = [];
  /** Maps that have had a slot, by id: how many there were before. */
  readonly #ordinals = new Map<number, number>();
  /** Ids of maps that have had a slot, and were not yet seen to be gone. */
  readonly #lasting = new Set<number>();
  /** What was added to bloom filters, in hex, by id. */
  readonly #added = new Map<number, Set<string>>();
  /** The map's id, by normal path in the folder of pinned names. */
  readonly #pinned = new Map<string, number>();
  /** Whether there may be names, or directories, in that folder. */
  #hasNames = false;
  #attrDirty = 0;
  /** Whether one of the maps since the last reset is a map of maps. */
  #hasOuter = false;
  /** What lay at NEXT after the last command, before it was made the same on every kernel. */
  nextKey: Uint8Array = new Uint8Array(0);

  /**
   * @param kernel An embedded one must be new: the arena lies at the end of its memory.
   */
  constructor(kernel: Kernel, pins: PinFolder) {
    this.kernel = kernel;
    this.arena = new Arena(kernel);
    this.probe = new Probe(kernel);
    this.#path = kernel.alloc(PATH_ROOM);
    this.#pins = pins;
  }

  /** Does a step. */
  run(step: Step): Answer {
    switch (step.op) {
      case "bpf":
        return this.#command(step);
      case "close":
        return { ret: this.#close(step.fd), wrote: "" };
      case "unlink":
        return { ret: this.#unlink(step.path), wrote: "" };
      case "mkdir":
        this.#hasNames = true;
        return { ret: this.kernel.mkdir(this.#pathOf(step.path)), wrote: "" };
      case "rmdir":
        return { ret: this.kernel.rmdir(this.#pathOf(step.path)), wrote: "" };
      case "readdir":
        return this.#readdir(step.path);
      case "rename":
        return { ret: this.#rename(step.path, step.to), wrote: "" };
      case "mmap":
        return this.#mmap(step);
      case "walk":
        return this.#walk(step.fd.fd, step.batch);
      default:
        return this.#ids();
    }
  }

  /** What a slot is of; undefined if it is closed. */
  mapIn(slot: number): MapFacts | undefined {
    const found = this.#slots[slot];
    return found?.open === true ? found.map : undefined;
  }

  btfOfFd(fd: number): number | undefined {
    return this.#slots.find((slot) => slot.open && slot.fd === fd)?.btfId;
  }

  openBtfIds(): number[] {
    return this.#slots.flatMap(({ open, btfId }) => (open && btfId !== undefined ? [btfId] : []));
  }

  mapOfFd(fd: number): MapFacts | undefined {
    return this.#slots.find((slot) => slot.open && slot.fd === fd)?.map;
  }

  openIds(): number[] {
    return this.#slots.flatMap(({ open, map }) => (open && map !== undefined ? [map.id] : []));
  }

  ordinalOf(id: number): number | undefined {
    return this.#ordinals.get(id);
  }

  addedTo(id: number): Set<string> {
    let added = this.#added.get(id);
    if (added === undefined) this.#added.set(id, (added = new Set()));
    return added;
  }

  /** What each map holds that a slot has open: readable through an fd of its own. */
  contents(): string[] {
    const all: string[] = [];
    const maps = new Map(this.#slots.flatMap(({ open, map }) => (open && map !== undefined ? [[map.id, map]] : [])));
    for (const [id, map] of maps) {
      const fd = this.probe.open(id);
      const text = fd < 0 ? String(fd) : walkText(this.#withOrdinals(this.probe.walk(fd, map), map), map);
      all.push(`${this.ordinalOf(id)}: ${text}`);
      if (fd >= 0) this.kernel.close(fd);
    }
    return all;
  }

  /** Closes all and unpins all: the next sequence finds the machine as new. */
  reset(): void {
    for (const { fd, open } of this.#slots) {
      if (open) this.kernel.close(fd);
    }
    if (this.#hasNames) this.#empty(this.#pins.path);
    this.#hasNames = false;
    this.#slots.length = 0;
    this.#pinned.clear();
    this.#ordinals.clear();
    this.#lasting.clear();
    this.#added.clear();
    this.#hasOuter = false;
    this.arena.clear();
  }

  [Symbol.dispose](): void {
    this.reset();
    this.arena[Symbol.dispose]();
    this.probe[Symbol.dispose]();
    this.#path[Symbol.dispose]();
    this.#pins[Symbol.dispose]();
  }

  #command(command: Command): Answer {
    const { arena, kernel } = this;
    const size = command.size ?? BPF_ATTR_SIZE;
    const place = command.attr ?? { to: ATTR };
    const at = typeof place === "number" ? ATTR : place.to;
    arena.fill(ATTR, this.#attrDirty, 0);
    this.#attrDirty = BPF_ATTR_SIZE;
    arena.fill(at, Math.min(BPF_ATTR_SIZE, END - at), 0);
    this.#putFields(at, command);
    for (const [offset, data] of command.data ?? []) {
      const bytes = this.#bytesOf(data);
      arena.put(offset, bytes);
      if (offset < KEY) this.#attrDirty = Math.min(KEY, Math.max(this.#attrDirty, offset + bytes.length));
    }
    const address = typeof place === "number" ? place : arena.address + at;
    const returned = kernel.bpf(command.cmd, { ...noBuffer, address }, size);
    let ret = returned;
    if (command.cmd === BPF_MAP_GET_NEXT_KEY) this.nextKey = arena.bytes.slice(NEXT, IN);
    if (returned >= 0 && givesFd(command.cmd)) ret = this.#bind(returned);
    else if (returned === 0 && command.cmd === BPF_OBJ_PIN) this.#notePin(command, at);
    else if (typeof place === "object") ret = canonicalReturn(this, command.cmd, at, size, returned);
    // How much was written before a fault is open.
    if (returned === -EFAULT) arena.forget(KEY);
    const wrote = arena.takeWrites();
    // Addresses and fds differ between kernels: no later command may find them in the memory that it is given.
    if (at !== ATTR) arena.fill(at, Math.min(BPF_ATTR_SIZE, END - at), 0);
    for (const [offset, data] of command.data ?? []) {
      if (!(data instanceof Uint8Array)) arena.fill(offset, Math.min(8, END - offset), 0);
    }
    if (this.#hasOuter && !givesFd(command.cmd)) this.#awaitEnds();
    return { ret, wrote };
  }

  #bytesOf(data: Data): Uint8Array {
    if (data instanceof Uint8Array) return data;
    if ("fd" in data) return new Uint8Array(Int32Array.of(this.#fdNumber(data.fd)).buffer);
    return new Uint8Array(BigUint64Array.of(BigInt(this.arena.address + data.to)).buffer);
  }

  #putFields(at: number, { group, fields }: Command): void {
    const layout = bpfAttr[group] as Record<string, { off: number; size: number }>;
    // 8 bytes for any field; what lies behind END is lost.
    const field = new Uint8Array(8);
    const view = new DataView(field.buffer);
    for (const [name, word] of Object.entries(fields)) {
      const { off, size } = layout[name]!;
      if (word instanceof Uint8Array) {
        this.arena.put(at + off, word.subarray(0, size));
      } else {
        view.setBigUint64(0, BigInt.asUintN(64, this.#resolve(word)), true);
        this.arena.put(at + off, field.subarray(0, size));
      }
    }
  }

  #resolve(word: Exclude<Word, Uint8Array>): bigint {
    if (typeof word !== "object") return BigInt(word);
    if ("to" in word) return BigInt(this.arena.address + word.to);
    if ("fd" in word) return BigInt(this.#fdNumber(word.fd));
    if ("id" in word) return BigInt(this.#slots[word.id]?.map?.id ?? this.#slots[word.id]?.btfId ?? 0);
    this.#path.bytes.set(Buffer.from(`${this.#pathOf(word.path)}\0`, "latin1"));
    return BigInt(this.#path.address);
  }

  /** The fd of a slot: when that is closed, its number, unless another slot has it now. */
  #fdNumber(slot: number): number {
    const found = this.#slots[slot];
    if (found === undefined) return NO_FD;
    return found.open || this.mapOfFd(found.fd) === undefined ? found.fd : NO_FD;
  }

  /** Gives a new fd the lowest free slot. */
  #bind(fd: number): number {
    const free = this.#slots.findIndex(({ open }) => !open);
    const slot = free < 0 ? this.#slots.length : free;
    const btfId = this.probe.btfId(fd);
    const map = btfId === undefined ? this.probe.facts(fd) : undefined;
    this.#slots[slot] = { fd, open: true, map, btfId };
    if (map !== undefined && isMapInMap(map)) this.#hasOuter = true;
    if (map !== undefined) this.#lasting.add(map.id);
    if (map !== undefined && !this.#ordinals.has(map.id)) this.#ordinals.set(map.id, this.#ordinals.size);
    return slot;
  }

  #notePin({ fields }: Command, at: number): void {
    const { pathname } = fields;
    const map = this.mapOfFd(this.arena.view.getUint32(at + bpfAttr.obj.bpf_fd.off, true));
    if (map === undefined || typeof pathname !== "object" || !("path" in pathname)) {
      throw new Error(`A pin that was not asked for: ${JSON.stringify(fields)}`);
    }
    this.#hasNames = true;
    this.#pinned.set(normalPath(pathname.path), map.id);
  }

  #pathOf(path: string): string {
    return path.startsWith("/") ? path : `${this.#pins.path}/${path}`;
  }

  #unlink(path: string): number {
    const ret = this.kernel.unlink(this.#pathOf(path));
    if (ret === 0) this.#noteUnpin(normalPath(path));
    return ret;
  }

  #noteUnpin(path: string): void {
    if (!this.#pinned.has(path)) return;
    this.#pinned.delete(path);
    this.#awaitEnds();
  }

  #rename(path: string, to: string): number {
    const ret = this.kernel.rename(this.#pathOf(path), this.#pathOf(to));
    const [from, target] = [normalPath(path), normalPath(to)];
    if (ret !== 0 || from === target) return ret;
    this.#noteUnpin(target);
    for (const [name, id] of this.#pinned) {
      if (name !== from && !name.startsWith(`${from}/`)) continue;
      this.#pinned.delete(name);
      this.#pinned.set(`${target}${name.slice(from.length)}`, id);
    }
    return ret;
  }

  /** What is in a directory; not the files that Linux makes in the root, whose names nothing pinned could have. */
  #readdir(path: string): Answer {
    const entries = this.kernel.readdir(this.#pathOf(path));
    if (typeof entries === "number") return { ret: entries, wrote: "" };
    const own = entries.filter(({ name }) => !name.includes("."));
    return { ret: own.length, wrote: own.map(({ name, isDirectory }) => name + (isDirectory ? "/" : "")).join(",") };
  }

  /** Removes what is in a directory. */
  #empty(path: string): void {
    const entries = this.kernel.readdir(path);
    if (typeof entries === "number") throw new Error(`Cannot read ${path}: ${entries}`);
    for (const { name, isDirectory } of entries) {
      if (name.includes(".")) continue;
      if (isDirectory) this.#empty(`${path}/${name}`);
      const ret = isDirectory ? this.kernel.rmdir(`${path}/${name}`) : this.kernel.unlink(`${path}/${name}`);
      if (ret !== 0) throw new Error(`Cannot remove ${path}/${name}: ${ret}`);
    }
  }

  #close(which: { readonly fd: number } | number): number {
    if (typeof which === "number") return this.kernel.close(which);
    const slot = this.#slots[which.fd];
    if (slot === undefined) return -EBADF;
    const fd = this.#fdNumber(which.fd);
    slot.open = false;
    const ret = this.kernel.close(fd);
    if (slot.map !== undefined) this.#awaitEnds();
    return ret;
  }

  /**
   * Waits until Linux has forgotten the maps that nothing here holds any more: another process that lists all maps may hold them
   * for a moment, and Linux gives up what a map of maps has held some time after that has ended.
   */
  #awaitEnds(): void {
    if (this.kernel.name !== "linux") return;
    const held = this.#heldIds();
    for (const id of this.#lasting) {
      if (held.has(id)) continue;
      this.#lasting.delete(id);
      // Not by opening it: Linux forgets a reference of a PROG_ARRAY whose last fd is closed twice in a short time.
      // And where another process has done that, the map stays for good: then it counts as gone.
      for (let ms = 0; this.probe.nextId(id - 1) === id && ms < MAX_WAIT_MS; ms++) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      }
    }
  }

  /** Ids of the maps that fds, names and elems of maps of maps lead to. */
  #heldIds(): Set<number> {
    const held = new Set([...this.openIds(), ...this.#pinned.values()]);
    if (!this.#hasOuter) return held;
    for (const id of held) {
      const fd = this.probe.open(id);
      const map = this.probe.facts(fd);
      if (map !== undefined && isMapInMap(map)) {
        for (const elem of this.probe.walk(fd, map).elems) held.add(innerIdOf(elem));
      }
      if (fd >= 0) this.kernel.close(fd);
    }
    return held;
  }

  /** What is mapped may be long, and is the same again and again: so only some of it is told. */
  #mmap({ fd, length, offset, put }: Extract<Step, { op: "mmap" }>): Answer {
    try {
      using mapped = this.kernel.mmap(this.#fdNumber(fd.fd), length, { offset, writable: put !== undefined });
      const isArray = this.mapIn(fd.fd)?.type === BPF_MAP_TYPE_ARRAY;
      // A ring's pages have Linux's own things on them.
      if (!isArray) return { ret: 0, wrote: "" };
      if (put !== undefined) mapped.bytes.set(put.subarray(0, length));
      return { ret: 0, wrote: Buffer.from(mapped.bytes.subarray(0, 64)).toString("hex") };
    } catch (error) {
      if (error instanceof BpfError) return { ret: error.errno, wrote: "" };
      throw error;
    }
  }

  #walk(slot: number, batch: number | undefined): Answer {
    const map = this.mapIn(slot);
    if (map === undefined) return { ret: -EBADF, wrote: "" };
    const fd = this.#fdNumber(slot);
    const walk = batch === undefined ? this.probe.walk(fd, map) : this.probe.walkBatches(fd, map, batch);
    return { ret: walk.ret, wrote: walkText(this.#withOrdinals(walk, map), map) };
  }

  /** Ids of inner maps as ordinals. */
  #withOrdinals(walk: Walk, map: MapFacts): Walk {
    if (!isMapInMap(map)) return walk;
    const elems = walk.elems.map((elem) => {
      return `${elem.split("=")[0]}=${this.ordinalOf(innerIdOf(elem)) ?? "no map of ours"}`;
    });
    return { ...walk, elems };
  }

  #ids(): Answer {
    const found: number[] = [];
    let id = 0;
    for (id = this.probe.nextId(0); id > 0; id = this.probe.nextId(id)) {
      const ordinal = this.ordinalOf(id);
      if (ordinal !== undefined) found.push(ordinal);
    }
    return { ret: id, wrote: found.join(",") };
  }
}

/** The path without `.`, `..` and slashes that say nothing. */
function normalPath(path: string): string {
  return posix.normalize(`/${path}`).replace(/\/$/, "");
}

/** The id that an elem of a map of maps holds, "key=value" in hex. */
function innerIdOf(elem: string): number {
  return Buffer.from(elem.split("=")[1]!, "hex").readUInt32LE();
}

const noBuffer = { bytes: new Uint8Array(0), [Symbol.dispose]: (): void => {} };

const givers: ReadonlySet<number> = new Set([
  BPF_MAP_CREATE,
  BPF_OBJ_GET,
  BPF_MAP_GET_FD_BY_ID,
  BPF_BTF_LOAD,
  BPF_BTF_GET_FD_BY_ID,
]);

function givesFd(cmd: number): boolean {
  return givers.has(cmd);
}

/** The order of a hash's elems is the kernel's; an array's is not. */
function walkText({ elems, wrong }: Walk, map: MapFacts): string {
  const text = (isHash(map) ? elems.toSorted() : elems).join(",");
  return wrong === "" ? text : `WRONG: ${wrong} (${text})`;
}
