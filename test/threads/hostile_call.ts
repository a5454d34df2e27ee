/**
 * Hostile calls of bpf(): attr all random, or that of a sensible call with some of it changed; pointers that lead into memory of any
 * kind, and nowhere; sizes that are not attr's.
 *
 * Where a pointer may lead, a call may write: so what must not change (the forbidden range) is never aimed at, and lies so that what
 * is written from elsewhere does not reach it.
 */
import {
  BPF_ATTR_SIZE,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARENA,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_USER_RINGBUF,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  BPF_PROG_BIND_MAP,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_GET_NEXT_ID,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SYSCALL,
  BPF_PROG_TYPE_XDP,
  bpfAttr,
} from "tsbpf/uapi";
import type { Random } from "../differential/random.js";

/** A part of the memory. */
export interface Range {
  readonly address: number;
  readonly length: number;
}

/** Where calls aim at. */
export interface Aims {
  /** Each thread's own user memory, one behind the other. */
  readonly arenas: readonly Range[];
  /** What no pointer may lead to. It ends where the arenas begin. */
  readonly forbidden: Range;
  /** Addresses of NUL-terminated paths, for commands that only read there. They lie at the end of the forbidden range. */
  readonly paths: readonly number[];
  /** Bytes of the whole memory. */
  readonly memory: number;
  /** Ids of maps that are not to be opened. */
  readonly guardIds: readonly number[];
}

/** A call that is ready: what bpf() is to be given. attr is filled. */
export interface HostileCall {
  readonly cmd: number;
  readonly address: number;
  readonly size: number;
}

type Group = "mapCreate" | "mapElem" | "batch" | "obj" | "info" | "getId" | "progLoad" | "test" | "progBindMap";
type Sensible = { cmd: number; group: Group; fields: Record<string, number | bigint> };

export const cmds = [
  BPF_MAP_CREATE,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_FREEZE,
  BPF_OBJ_PIN,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_GET_FD_BY_ID,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  BPF_PROG_GET_NEXT_ID,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_BIND_MAP,
];

/** What succeeds seldom otherwise: something must be in a map before it can be taken out. */
const often = [
  BPF_MAP_UPDATE_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
];

const progTypes = [
  BPF_PROG_TYPE_XDP,
  BPF_PROG_TYPE_XDP,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_SYSCALL,
];
/** Of instructions, the first byte: what computes, what touches memory, what jumps. */
const computing = [
  0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x57, 0x5f, 0x67, 0x77, 0xb7, 0xbf, 0xc7, 0x04, 0x0c, 0xb4, 0xbc,
];
const touching = [0x61, 0x69, 0x71, 0x79, 0x81, 0x62, 0x6a, 0x72, 0x7a, 0x63, 0x6b, 0x73, 0x7b, 0xc3, 0xdb];
const jumping = [0x05, 0x15, 0x1d, 0x25, 0x55, 0x5d, 0xa5, 0xb5, 0x65, 0x16, 0x56];
/** All that take what may be wrong. */
const helpers = [
  1, 1, 1, 2, 3, 7, 8, 12, 25, 25, 51, 51, 87, 88, 89, 130, 131, 132, 133, 134, 164, 181, 93, 94, 6, 165, 177, 105, 106,
  182, 16, 44, 65, 54, 189, 190, 26, 9, 10, 11, 28, 38, 39, 113, 115, 195, 197, 198, 199, 200, 201, 202, 203, 209,
];

const types = [
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_USER_RINGBUF,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_ARENA,
];
const arrayTypes = [
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
];
const ringTypes = [BPF_MAP_TYPE_RINGBUF, BPF_MAP_TYPE_USER_RINGBUF];
const keylessTypes = [
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_ARENA,
  ...ringTypes,
];
/** Values that are fds. */
const fdTypes = [
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH_OF_MAPS,
];
const trieKeySizes = [5, 8, 8, 8, 20, 260];
const ringSizes = [4096, 4096, 65_536, 2 ** 20];
const keySizes = [1, 3, 4, 4, 4, 5, 8, 8, 12, 16, 100, 600, 5000];
const valueSizes = [1, 2, 4, 4, 7, 8, 8, 16, 24, 100, 1000, 32_768, 100_000];
const entryCounts = [1, 1, 2, 3, 4, 7, 16, 16, 100, 1000, 20_000, 1_000_000, 10_000_000];
const mapFlags = [0, 0, 0, BPF_F_NO_PREALLOC, BPF_F_MMAPABLE, BPF_F_RDONLY, BPF_F_WRONLY];
/** Numbers next to which somebody may have miscounted. */
const numbers = [0, 1, 2, 3, 4, 7, 8, 255, 256, 4095, 4096, 65_535, 65_536, 2 ** 20, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];
const sizes = [
  0,
  1,
  3,
  4,
  8,
  12,
  16,
  20,
  24,
  31,
  32,
  33,
  56,
  92,
  167,
  169,
  200,
  4095,
  4096,
  4097,
  2 ** 31,
  2 ** 32 - 1,
];
const PAGE = 4096;

export class HostileCaller {
  readonly #random: Random;
  readonly #aims: Aims;
  readonly #arena: Range;
  readonly #memory: DataView;
  readonly #attr = new DataView(new ArrayBuffer(BPF_ATTR_SIZE));
  /** Fds and ids that were given to this thread and may be open still. */
  readonly fds: number[] = [];
  readonly ids: number[] = [];

  /** @param buffer The whole memory. */
  constructor(random: Random, aims: Aims, index: number, buffer: ArrayBufferLike) {
    this.#random = random;
    this.#aims = aims;
    this.#arena = aims.arenas[index]!;
    this.#memory = new DataView(buffer);
  }

  /** Fills an attr somewhere, and now and then some of what pointers lead to. */
  next(): HostileCall {
    const random = this.#random;
    if (random.percent(10)) this.#scribble();
    const { cmd, group, fields } = this.#sensible();
    this.#fill(group, fields);
    const how = random.below(10);
    if (how === 0) this.#fillAtRandom();
    else if (how < 6) for (let n = 1 + random.below(3); n > 0; n--) this.#corrupt(group);
    this.#keepOut(this.#attr);
    const address = random.percent(95) ? this.#putAttr() : this.#wrongAttr();
    return {
      cmd: random.percent(97) ? cmd : random.pick([random.below(64), random.u32(), ...cmds]),
      address,
      size: random.percent(80) ? BPF_ATTR_SIZE : random.percent(80) ? random.pick(sizes) : random.u32(),
    };
  }

  #isForbidden(word: number | bigint): boolean {
    const { address, length } = this.#aims.forbidden;
    return word >= address && word < address + length;
  }

  /** No word, nor two of them as a pointer, is an address of the forbidden range; but a path's is where only a path is looked for. */
  #keepOut(view: DataView): void {
    for (let at = 0; at + 4 <= view.byteLength; at += 4) {
      const word = view.getUint32(at, true);
      if (this.#isForbidden(word) && !(at === 0 && this.#aims.paths.includes(word))) view.setUint32(at, 0, true);
    }
  }

  /** Copies attr to where it just fits, or anywhere in the thread's own arena. */
  #putAttr(): number {
    const { address, length } = this.#arena;
    const last = address + length - BPF_ATTR_SIZE;
    const at = this.#random.percent(5) ? last : address + this.#random.below(length - BPF_ATTR_SIZE);
    const to = this.#random.percent(80) ? at & ~7 : at;
    new Uint8Array(this.#memory.buffer, to, BPF_ATTR_SIZE).set(new Uint8Array(this.#attr.buffer));
    return to;
  }

  /** Where no attr is. In an arena there may be some of another attr, off by a few bytes: what its pointers are then, nobody has looked at. */
  #wrongAttr(): number {
    const address = Number(this.#wrongPointer() & 0xffff_ffffn);
    const { forbidden, memory } = this.#aims;
    return address >= forbidden.address && address < memory - PAGE ? 0 : address;
  }

  /** Keys that are met again, and bytes that mean nothing. */
  #scribble(): void {
    const random = this.#random;
    const { address, length } = this.#arena;
    const size = Math.min(length, 1 << random.below(14));
    const at = (address + random.below(length - size + 1)) & ~3;
    const view = new DataView(this.#memory.buffer, at, size);
    const isMeant = random.percent(70);
    for (let i = 0; i + 4 <= size; i += 4) view.setUint32(i, isMeant ? random.below(8) : random.u32(), true);
    this.#keepOut(view);
  }

  #sensible(): Sensible {
    const random = this.#random;
    const cmd = random.percent(35) ? random.pick(often) : random.pick(cmds);
    const map_fd = this.#fd();
    const make = (group: Group, fields: Sensible["fields"]): Sensible => ({ cmd, group, fields });
    switch (cmd) {
      case BPF_MAP_CREATE:
        return make("mapCreate", this.#create());
      case BPF_MAP_LOOKUP_BATCH:
      case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
      case BPF_MAP_UPDATE_BATCH:
      case BPF_MAP_DELETE_BATCH: {
        const count = random.pick([1, 1, 1, 2, 10, 1000, 2 ** 32 - 1]);
        const in_batch = random.percent(50) ? 0 : this.#pointer();
        const to = { out_batch: this.#pointer(), keys: this.#pointer(), values: this.#pointer() };
        return make("batch", { map_fd, count, in_batch, ...to });
      }
      case BPF_MAP_FREEZE:
        // Else there were soon no others.
        return make("mapElem", random.percent(20) ? { map_fd } : { map_fd, key: 1 });
      case BPF_OBJ_PIN:
        return make("obj", { pathname: random.pick(this.#aims.paths), bpf_fd: map_fd });
      case BPF_OBJ_GET:
        return make("obj", { pathname: random.pick(this.#aims.paths) });
      case BPF_OBJ_GET_INFO_BY_FD:
        return make("info", { bpf_fd: map_fd, info: this.#pointer(), info_len: BPF_MAP_INFO_SIZE });
      case BPF_MAP_GET_NEXT_ID:
        return make("getId", { start_id: this.#id() });
      case BPF_MAP_GET_FD_BY_ID:
        return make("getId", { map_id: this.#id(), open_flags: random.pick([0, 0, BPF_F_RDONLY, BPF_F_WRONLY]) });
      case BPF_PROG_LOAD:
        return make("progLoad", { prog_type: random.pick(progTypes), ...this.#program() });
      case BPF_PROG_TEST_RUN: {
        const context = random.percent(40)
          ? { ctx_in: this.#pointer(), ctx_size_in: random.pick([8, 24, 64, 192]) }
          : {};
        const packet = { data_in: this.#pointer(), data_size_in: random.pick([14, 64, 1500, 70_000]) };
        const out = random.percent(30) ? { data_out: this.#pointer(), data_size_out: random.pick([14, 64, 9000]) } : {};
        return make("test", { prog_fd: map_fd, ...(random.percent(75) ? packet : {}), ...out, ...context });
      }
      case BPF_PROG_GET_NEXT_ID:
        return make("getId", { start_id: random.below(100) });
      case BPF_PROG_GET_FD_BY_ID:
        return make("getId", { prog_id: this.#id() });
      case BPF_PROG_BIND_MAP:
        return make("progBindMap", { prog_fd: map_fd, map_fd: this.#fd() });
      default: {
        const flags = cmd === BPF_MAP_UPDATE_ELEM ? random.pick([0, 0, 1, 2]) : 0;
        // Nowhere: of a map without keys, or the first one.
        const key = random.percent(often.includes(cmd) ? 40 : 25) ? 0 : this.#pointer();
        const value = cmd === BPF_MAP_DELETE_ELEM ? 0 : this.#pointer();
        return make("mapElem", { map_fd, key, value, flags });
      }
    }
  }

  #create(): Sensible["fields"] {
    const random = this.#random;
    const map_type = random.pick(types);
    const isKeyless = keylessTypes.includes(map_type);
    const isTrie = map_type === BPF_MAP_TYPE_LPM_TRIE;
    const isRing = ringTypes.includes(map_type);
    const isArena = map_type === BPF_MAP_TYPE_ARENA;
    const hasFds = fdTypes.includes(map_type);
    const key_size = arrayTypes.includes(map_type) ? 4 : random.pick(isTrie ? trieKeySizes : keySizes);
    return {
      map_type,
      key_size: isKeyless ? 0 : key_size,
      value_size: isRing || isArena ? 0 : hasFds ? 4 : random.pick(valueSizes),
      max_entries: random.pick(isRing ? ringSizes : entryCounts),
      map_flags: isTrie ? BPF_F_NO_PREALLOC : isArena ? BPF_F_MMAPABLE : isRing ? 0 : random.pick(mapFlags),
      ...(hasFds ? { inner_map_fd: this.#fd() } : {}),
    };
  }

  /** Writes instructions into the arena, as many as have a chance to be taken: registers are written before anything else. */
  #program(): Sensible["fields"] {
    const random = this.#random;
    const { address, length } = this.#arena;
    const slots = 14 + random.below(24);
    const at = (address + random.below(length - 8 * slots - 8)) & ~7;
    const view = new DataView(this.#memory.buffer, at, 8 * slots + 8);
    const put = (slot: number, code: number, registers: number, off: number, imm: number): void => {
      view.setUint8(8 * slot, code);
      view.setUint8(8 * slot + 1, registers);
      view.setInt16(8 * slot + 2, off, true);
      view.setUint32(8 * slot + 4, imm, true);
    };
    // r6 = r1; the others: numbers, or the frame.
    put(0, 0xbf, 0x16, 0, 0);
    for (let reg = 0; reg < 10; reg++) {
      if (reg !== 6)
        put(1 + reg - (reg > 6 ? 1 : 0), random.percent(40) ? 0xbf : 0xb7, reg | 0xa0, 0, random.pick(numbers));
    }
    for (let reg = 0; reg < 10; reg++) {
      const slot = 1 + reg - (reg > 6 ? 1 : 0);
      if (reg !== 6 && view.getUint8(8 * slot) === 0xb7) view.setUint8(8 * slot + 1, reg);
      else if (reg !== 6) view.setUint32(8 * slot + 4, 0, true);
    }
    let slot = 10;
    while (slot < slots - 1) slot += this.#instruction(put, slot, slots);
    put(slots - 1, 0x95, 0, 0, 0);
    view.setUint32(8 * slots, random.percent(80) ? 0x4c5047 : 0, true);
    this.#keepOut(view);
    return { insns: at, insn_cnt: slots, license: at + 8 * slots };
  }

  /** Writes one instruction. Returns how many slots it takes. */
  #instruction(
    put: (slot: number, code: number, registers: number, off: number, imm: number) => void,
    slot: number,
    slots: number,
  ): number {
    const random = this.#random;
    const registers = random.below(10) | (random.below(11) << 4);
    const off = random.percent(70) ? -8 * (1 + random.below(8)) : random.below(1 << 16) - (1 << 15);
    const kind = random.below(10);
    if (kind < 2 && slot + 3 < slots) {
      put(slot, 0x18, ((random.percent(85) ? 1 : random.below(7)) << 4) | (1 + random.below(2)), 0, this.#fd());
      put(slot + 1, 0, 0, 0, random.percent(95) ? 0 : random.u32());
      return 2;
    }
    if (kind < 4) put(slot, 0x85, 0, 0, random.pick(helpers));
    else if (kind < 6) {
      const code = random.pick(touching);
      const isImm = (code & 7) === 2;
      put(slot, code, isImm ? registers & 15 : registers, off, isImm ? random.u32() : 0);
    } else if (kind < 7) {
      const code = random.pick(jumping);
      const to = random.below(slots) - slot - 1;
      put(
        slot,
        code,
        code === 5 ? 0 : (code & 8) === 0 ? registers & 15 : registers,
        to,
        (code & 8) === 0 && code !== 5 ? random.pick(numbers) : 0,
      );
    } else {
      const code = random.pick(computing);
      const isReg = (code & 8) !== 0;
      put(slot, code, isReg ? registers : registers & 15, 0, isReg ? 0 : random.pick([1, 3, 8, 31, random.u32()]));
    }
    return 1;
  }

  #fd(): number {
    const random = this.#random;
    if (this.fds.length > 0 && random.percent(85)) return random.pick(this.fds);
    return random.percent(80) ? random.below(64) : random.u32();
  }

  #id(): number {
    const random = this.#random;
    const id = this.ids.length > 0 && random.percent(70) ? random.pick(this.ids) : random.pick(numbers);
    return this.#aims.guardIds.includes(id) ? 0 : id;
  }

  #pointer(): number | bigint {
    return this.#random.percent(90) ? this.#rightPointer() : this.#wrongPointer();
  }

  /** Into an arena: the own one, mostly; aligned, mostly; near its end, now and then. */
  #rightPointer(): number {
    const random = this.#random;
    const { address, length } = random.percent(85) ? this.#arena : random.pick(this.#aims.arenas);
    const at = address + (random.percent(85) ? random.below(length) : length - 1 - random.below(64));
    return random.percent(85) ? at & ~7 : at;
  }

  /** Kernel structures, what was never handed out, both ends of the memory, and addresses that no memory has. */
  #wrongPointer(): bigint {
    const random = this.#random;
    const { memory, forbidden } = this.#aims;
    const right = BigInt(this.#rightPointer());
    switch (random.below(8)) {
      case 0:
        return BigInt(random.below(64));
      case 1:
        return BigInt(random.below(0xa4000));
      case 2:
        return BigInt(random.below(forbidden.address));
      case 3:
        return BigInt(memory - random.below(2 * PAGE) + 8);
      case 4:
        return right + 2n ** BigInt(32 + random.below(32));
      case 5:
        return 2n ** 64n - 1n - BigInt(random.below(PAGE));
      case 6:
        return (BigInt(random.u32() | 1) << 32n) | BigInt(random.u32());
      default:
        return BigInt(memory) + BigInt(random.below(2 ** 32 - memory));
    }
  }

  #fill(group: Group, fields: Sensible["fields"]): void {
    new Uint8Array(this.#attr.buffer).fill(0);
    for (const [name, value] of Object.entries(fields)) this.#put(group, name, value);
  }

  #put(group: Group, name: string, value: number | bigint): void {
    const { off, size } = (bpfAttr[group] as Readonly<Record<string, { off: number; size: number }>>)[name]!;
    if (size === 8) this.#attr.setBigUint64(off, BigInt.asUintN(64, BigInt(value)), true);
    else if (size === 4) this.#attr.setUint32(off, Number(value), true);
    else new Uint8Array(this.#attr.buffer, off, size).fill(Number(value));
  }

  #fillAtRandom(): void {
    const all = this.#random.percent(50);
    for (let at = 0; at < BPF_ATTR_SIZE; at += 4) {
      this.#attr.setUint32(at, all || this.#random.percent(30) ? this.#random.u32() : 0, true);
    }
  }

  /** One field, or a bit or a byte of one, is another. */
  #corrupt(group: Group): void {
    const random = this.#random;
    const layout = bpfAttr[group] as Readonly<Record<string, { off: number; size: number }>>;
    const name = random.pick(Object.keys(layout));
    const { off, size } = layout[name]!;
    const at = off + random.below(size);
    switch (random.below(5)) {
      case 0:
        return this.#put(group, name, random.pick(numbers));
      case 1:
        return this.#put(group, name, size === 8 ? this.#wrongPointer() : random.u32());
      case 2:
        return this.#put(group, name, size === 8 ? this.#rightPointer() : this.#fd());
      case 3:
        return this.#attr.setUint8(at, this.#attr.getUint8(at) ^ (1 << random.below(8)));
      default:
        return this.#attr.setUint8(at, random.u32());
    }
  }
}
