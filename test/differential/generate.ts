/**
 * Random steps: what a careful, a careless and a hostile caller do. They follow from the seed and from what was answered before.
 */
import {
  BPF_F_LOCK,
  BPF_F_PATH_FD,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
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
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_USER_RINGBUF,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  bpfMapInfo,
} from "tsbpf/uapi";
import { END, IN, INFO, KEY, KEYS, NEXT, OUT, VALUE } from "../machine/arena.js";
import type { AttrGroup, Command, Step, Word } from "../machine/command.js";
import { type MapFacts, isHash, isKeyless, isLru, isDevmap, isMapInMap, valueBytes } from "../machine/probe.js";
import { corrupt } from "./corrupt.js";
import { randomCreate } from "./create.js";
import type { Random } from "./random.js";

/** What the generator looks at: the maps that are open, by slot. */
export interface Known {
  readonly kernel: { readonly possibleCpus: number };
  mapIn(slot: number): MapFacts | undefined;
}

type Data = NonNullable<Command["data"]>;

const MAX_SLOTS = 6;
/** A map that can be assumed when there is none: commands must find out themselves. */
const noMap: MapFacts = { id: 0, type: 1, keySize: 4, valueSize: 8, maxEntries: 4 };
/** Sizes of struct bpf_map_info, of other versions and of none. */
const infoLengths = [
  0,
  1,
  4,
  5,
  7,
  8,
  20,
  40,
  87,
  88,
  92,
  96,
  100,
  103,
  104,
  105,
  112,
  200,
  4095,
  4096,
  4097,
  2 ** 32 - 1,
];
const paths = [
  "p0",
  "p1",
  "d0/p0",
  "d0/d1/p1",
  "d0",
  "d2",
  "p.3",
  "p0/",
  "d0/",
  "d0/d1",
  "d0/d1/..",
  "d0/../p1",
  "p0/p1",
  "p0/..",
  "nosuch/p",
  "/",
  "/nosuch/p",
  ".",
  "..",
];
const ORDINARY_PATHS = 6;

/** Of an LRU map: few enough that none has to go, whatever CPU it came from. */
const MOST_LRU_KEYS = 30;

const isRing = (type: number): boolean => type === BPF_MAP_TYPE_RINGBUF || type === BPF_MAP_TYPE_USER_RINGBUF;

export class Generator {
  readonly #random: Random;
  readonly #known: Known;
  /** Whether there are maps of maps. */
  readonly #hasOuter: boolean;
  /** Whether names are what it is about. */
  readonly #hasNames: boolean;
  /** The slot that most commands are about, for a while: so that maps fill, and keys are met again. */
  #focus = 0;

  constructor(random: Random, known: Known) {
    this.#random = random;
    this.#known = known;
    this.#hasOuter = random.percent(6);
    this.#hasNames = random.percent(12);
  }

  next(): Step {
    const random = this.#random;
    const open = this.#openSlots();
    const which = random.below(100);
    if (open.length === 0 || (which < 10 && open.length < MAX_SLOTS)) {
      return this.#maybeCorrupt(randomCreate(random, this.#hasOuter ? open : undefined));
    }
    if (which < 14)
      return { op: "close", fd: random.percent(90) ? { fd: random.pick(open) } : random.pick([-1, 0x7ffffff0]) };
    if (which < 17) return this.#walk(random.pick(open));
    if (which < 18) return { op: "ids" };
    if (which < (this.#hasNames ? 50 : 19)) return this.#names();
    if (which < 52 && this.#hasNames) return this.#maybeCorrupt(this.#object({ fd: random.pick(open) }));
    if (which < 21) return this.#mmap(random.pick(open));
    return this.#maybeCorrupt(this.#command());
  }

  #maybeCorrupt(command: Command): Command {
    return this.#random.percent(18) ? corrupt(this.#random, command) : command;
  }

  #openSlots(): number[] {
    const slots: number[] = [];
    for (let slot = 0; slot < MAX_SLOTS + 2; slot++) {
      if (this.#known.mapIn(slot) !== undefined) slots.push(slot);
    }
    return slots;
  }

  #command(): Command {
    const random = this.#random;
    const { fd, map } = this.#fd();
    const which = random.below(100);
    if (which < 26) return this.#update(fd, map);
    if (which < 42) return this.#lookup(fd, map, BPF_MAP_LOOKUP_ELEM);
    if (which < 50) return this.#delete(fd, map);
    if (which < 56) return this.#lookup(fd, map, BPF_MAP_LOOKUP_AND_DELETE_ELEM);
    if (which < 64) return this.#nextKey(fd, map);
    const fits =
      KEYS + map.keySize * map.maxEntries < VALUE &&
      VALUE + this.#valueBytes(map) * Math.min(map.maxEntries, 1000) < END;
    if (which < 70 && fits) return this.#lookupBatch(fd, map);
    if (which < 73 && fits) return this.#lookupAndDeleteBatch(fd, map);
    if (which < 80 && fits) return this.#changeBatch(fd, map);
    if (which < 86) return this.#info(fd);
    if (which < 93) return this.#object(fd);
    if (which < 97) return this.#id();
    if (which < 99)
      return this.#make(BPF_MAP_FREEZE, "mapElem", random.percent(95) ? { map_fd: fd } : { map_fd: fd, key: 1 });
    return this.#make(random.pick([60, 1000, 2 ** 31, -1]), "mapElem", { map_fd: fd });
  }

  #valueBytes(map: MapFacts): number {
    return Math.min(valueBytes(map, this.#known.kernel.possibleCpus), 1 << 16);
  }

  /** Names and directories. */
  #names(): Step {
    const random = this.#random;
    const path = random.percent(85) ? random.pick(paths.slice(0, ORDINARY_PATHS)) : random.pick(paths);
    const directory = random.percent(85) ? random.pick(["d0", "d0", "d0/d1", "d2"]) : path;
    const which = random.below(14);
    if (which < 4) return { op: "mkdir", path: directory };
    if (which < 6) return { op: "unlink", path };
    if (which < 7) return { op: "rmdir", path: directory };
    if (which < 9) return { op: "readdir", path: random.percent(50) ? "." : directory };
    return {
      op: "rename",
      path: random.percent(70) ? path : directory,
      to: random.pick(paths.slice(0, ORDINARY_PATHS)),
    };
  }

  #mmap(slot: number): Step {
    const random = this.#random;
    const { type, maxEntries, valueSize } = this.#known.mapIn(slot)!;
    const put = random.percent(50) ? { put: random.bytes(1 + random.below(32)) } : {};
    // Where an arena is mapped it must be from then on.
    if (type === BPF_MAP_TYPE_ARENA) return this.#walk(slot);
    // Of a ring's data Linux maps more, for it maps it twice.
    if (isRing(type)) return { op: "mmap", fd: { fd: slot }, length: 4096, offset: random.pick([0, 4096]), ...put };
    const all = Math.min(maxEntries * Math.ceil(valueSize / 8) * 8, 1 << 16);
    const length = random.percent(80)
      ? random.pick([1, 64, 4096])
      : random.pick([0, all, all + 1, 4097, 8192, 1 << 16]);
    const offset = random.percent(85) ? 0 : random.pick([1, 4096, 8192, 1 << 20]);
    return { op: "mmap", fd: { fd: slot }, length, offset, ...put };
  }

  #make(cmd: number, group: AttrGroup, fields: Record<string, Word>, data: Data = []): Command {
    return { op: "bpf", cmd, group, fields, data };
  }

  /** An fd and the map that it should be of; now and then one that is closed, was never open, or is no map. */
  #fd(): { fd: Word; map: MapFacts } {
    const random = this.#random;
    const open = this.#openSlots();
    if (random.percent(4)) return { fd: random.pick<Word>([-1, 0, 1, 2, 0x7ffffff0, { fd: 9 }]), map: noMap };
    if (random.percent(6) || !open.includes(this.#focus)) this.#focus = random.pick(open);
    const slot = random.percent(80) ? this.#focus : random.below(MAX_SLOTS);
    return { fd: { fd: slot }, map: this.#known.mapIn(slot) ?? noMap };
  }

  #walk(slot: number): Step {
    const batch = this.#random.percent(50) ? { batch: 1 + this.#random.below(9) } : {};
    return { op: "walk", fd: { fd: slot }, ...batch };
  }

  /** One of a few, or of half as many again as the map can hold. */
  #key(map: MapFacts): Uint8Array {
    const random = this.#random;
    const most = isLru(map) ? MOST_LRU_KEYS : Math.ceil(Math.min(map.maxEntries, 1000) * 1.5);
    const i = random.below(random.percent(70) ? 4 : most);
    const key = new Uint8Array(Math.min(map.keySize, 4096));
    if (map.type === BPF_MAP_TYPE_LPM_TRIE) return this.#prefix(map.keySize, i);
    if (isHash(map)) {
      // Keys of a size differ in any of their bytes, the last one too.
      for (let at = 0; at < key.length; at++) key[at] = at % 5 === i % 5 || key.length < 3 ? i + 1 : 0;
    } else if (key.length >= 4) {
      const index = random.percent(3) ? random.pick([2 ** 32 - 1, 2 ** 31, map.maxEntries]) : i;
      new DataView(key.buffer).setUint32(0, index, true);
    }
    return key;
  }

  /** Prefixes of a few addresses, that branch at any bit; with bits behind their end, now and then. */
  #prefix(keySize: number, i: number): Uint8Array {
    const random = this.#random;
    const key = new Uint8Array(keySize);
    const bits = (keySize - 4) * 8;
    const length = random.percent(60)
      ? random.pick([0, 1, 7, 8, 9, 12, bits >> 1, bits - 1, bits])
      : random.below(bits + 1);
    new DataView(key.buffer).setUint32(0, random.percent(3) ? random.pick([bits + 1, 2 ** 32 - 1]) : length, true);
    for (let at = 4; at < keySize; at++) key[at] = at % 3 === i % 3 ? (i * 73) & 0xff : 0x0a;
    if (random.percent(30)) key[4 + random.below(keySize - 4)]! ^= 1 << random.below(8);
    return key;
  }

  /** What is given as a value: of maps of maps an fd. A bloom filter is given few, so that they are met again. */
  #value(map: MapFacts): Data[number][1] {
    const random = this.#random;
    if (isMapInMap(map) && random.percent(95)) return { fd: random.pick(this.#openSlots()) };
    const bytes = this.#valueBytes(map);
    // lo, none, or one that no machine has; and no program.
    if (isDevmap(map)) return new Uint8Array(Uint32Array.of(random.pick([0, 1, 1, 1, 2 ** 31]), 0).buffer, 0, bytes);
    return map.type === BPF_MAP_TYPE_BLOOM_FILTER ? new Uint8Array(bytes).fill(random.below(8)) : random.bytes(bytes);
  }

  /** Where a key lies: nowhere for a map without keys, mostly. */
  #keyPointer(map: MapFacts, at: number): Word {
    return isKeyless(map) && this.#random.percent(92) ? 0 : { to: at };
  }

  /** A pointer's place in a region: aligned, mostly. */
  #at(region: number): number {
    return region + (this.#random.percent(85) ? 0 : this.#random.below(9));
  }

  #flags(): number | bigint {
    const random = this.#random;
    const which = random.below(100);
    if (which < 65) return 0;
    if (which < 76) return 1;
    if (which < 88) return 2;
    return which < 96 ? random.pick([3, BPF_F_LOCK, 5, 6, 7, 8, 16]) : 2n ** BigInt(random.below(64));
  }

  #update(fd: Word, map: MapFacts): Command {
    const key = this.#at(KEY);
    const value = this.#at(VALUE);
    const fields = { map_fd: fd, key: this.#keyPointer(map, key), value: { to: value }, flags: this.#flags() };
    return this.#make(BPF_MAP_UPDATE_ELEM, "mapElem", fields, [
      [key, this.#key(map)],
      [value, this.#value(map)],
    ]);
  }

  /** BPF_MAP_LOOKUP_ELEM or BPF_MAP_LOOKUP_AND_DELETE_ELEM. */
  #lookup(fd: Word, map: MapFacts, cmd: number): Command {
    const random = this.#random;
    const key = this.#at(KEY);
    const value = random.percent(97) ? this.#at(VALUE) : key;
    const flags = random.percent(92) ? 0 : this.#flags();
    const scribble = new Uint8Array(this.#valueBytes(map) + 8).fill(1 + random.below(255));
    const fields = { map_fd: fd, key: this.#keyPointer(map, key), value: { to: value }, flags };
    return this.#make(cmd, "mapElem", fields, [
      [VALUE, scribble],
      map.type === BPF_MAP_TYPE_BLOOM_FILTER ? [value, this.#value(map)] : [key, this.#key(map)],
    ]);
  }

  #delete(fd: Word, map: MapFacts): Command {
    const key = this.#at(KEY);
    return this.#make(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd, key: this.#keyPointer(map, key) }, [
      [key, this.#key(map)],
    ]);
  }

  #nextKey(fd: Word, map: MapFacts): Command {
    const random = this.#random;
    const key = this.#at(KEY);
    const next = random.percent(20) ? key : this.#at(NEXT);
    const given = random.percent(25) ? 0 : this.#keyPointer(map, key);
    const fields = { map_fd: fd, key: given, next_key: { to: next } };
    return this.#make(BPF_MAP_GET_NEXT_KEY, "mapElem", fields, [[key, this.#key(map)]]);
  }

  #lookupBatch(fd: Word, map: MapFacts): Command {
    const random = this.#random;
    const key = this.#key(map);
    const cursor = random.percent(50) ? (isHash(map) ? key.slice(0, 4) : key) : new Uint8Array(4).fill(0xff);
    const fields = {
      map_fd: fd,
      in_batch: random.percent(75) ? 0 : { to: this.#at(IN) },
      out_batch: { to: random.percent(90) ? this.#at(OUT) : IN },
      keys: { to: this.#at(KEYS) },
      values: { to: this.#at(VALUE) },
      count: random.pick([0, 1, 2, 3, map.maxEntries - 1, map.maxEntries, map.maxEntries + 1, 100, 2 ** 31]),
      elem_flags: random.percent(92) ? 0 : this.#flags(),
      flags: random.percent(92) ? 0 : this.#flags(),
    };
    return this.#make(BPF_MAP_LOOKUP_BATCH, "batch", fields, [
      [IN, cursor],
      [KEYS, new Uint8Array(256).fill(random.u32())],
      [VALUE, new Uint8Array(256).fill(random.u32())],
    ]);
  }

  /** Which elems a hash's batch takes out is open, unless it takes all or none. */
  #lookupAndDeleteBatch(fd: Word, map: MapFacts): Command {
    const random = this.#random;
    const fields = {
      map_fd: fd,
      in_batch: random.percent(90) ? 0 : { to: IN },
      out_batch: { to: OUT },
      keys: { to: KEYS },
      values: { to: this.#at(VALUE) },
      count: random.pick([0, map.maxEntries, map.maxEntries + 1, map.maxEntries + 7]),
      elem_flags: random.percent(92) ? 0 : this.#flags(),
      flags: random.percent(92) ? 0 : this.#flags(),
    };
    return this.#make(BPF_MAP_LOOKUP_AND_DELETE_BATCH, "batch", fields, [
      [IN, new Uint8Array(8).fill(0xff)],
      [KEYS, new Uint8Array(256).fill(random.u32())],
      [VALUE, new Uint8Array(256).fill(random.u32())],
    ]);
  }

  /** BPF_MAP_UPDATE_BATCH or BPF_MAP_DELETE_BATCH. */
  #changeBatch(fd: Word, map: MapFacts): Command {
    const random = this.#random;
    const isFew = isLru(map) || random.percent(90);
    const count = isFew ? random.below(9) : random.pick([map.maxEntries + 2, 100, 2 ** 31]);
    const updates = random.percent(70);
    const keys = this.#at(KEYS);
    const values = this.#at(VALUE);
    const fields = {
      map_fd: fd,
      keys: { to: keys },
      ...(updates ? { values: { to: values } } : {}),
      count,
      elem_flags: random.percent(80) ? 0 : this.#flags(),
      flags: random.percent(94) ? 0 : this.#flags(),
    };
    const data: [number, Data[number][1]][] = [];
    for (let i = 0; i < Math.min(count, 9); i++) {
      data.push([keys + i * map.keySize, this.#key(map)]);
      if (updates) data.push([values + i * this.#valueBytes(map), this.#value(map)]);
    }
    return this.#make(updates ? BPF_MAP_UPDATE_BATCH : BPF_MAP_DELETE_BATCH, "batch", fields, data);
  }

  #info(fd: Word): Command {
    const random = this.#random;
    const info_len = random.percent(50) ? BPF_MAP_INFO_SIZE : random.pick(infoLengths);
    const zeroes = new Uint8Array(4200);
    if (random.percent(10)) zeroes[random.below(Math.max(1, Math.min(info_len, 4200)))] = random.u32();
    if (random.percent(10)) return this.#hash(fd);
    if (random.percent(8))
      zeroes.set(random.pick([[1], [0, 0, 0, 0, 0, 0, 0, 0, 32], [8, 0, 0, 0, 0, 0, 0, 0, 32]]), 88);
    return this.#make(BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd: fd, info_len, info: { to: INFO } }, [[INFO, zeroes]]);
  }

  /** BPF_OBJ_GET_INFO_BY_FD, with the hash of an array, which Linux has of a frozen one. */
  #hash(fd: Word): Command {
    const random = this.#random;
    const { hash, hash_size } = bpfMapInfo;
    const fields = { bpf_fd: fd, info_len: BPF_MAP_INFO_SIZE, info: { to: INFO } };
    return this.#make(BPF_OBJ_GET_INFO_BY_FD, "info", fields, [
      [INFO, new Uint8Array(BPF_MAP_INFO_SIZE)],
      [INFO + hash.off, { to: random.percent(90) ? OUT : END - 8 }],
      [INFO + hash_size.off, Uint8Array.of(random.percent(85) ? 32 : random.below(40))],
    ]);
  }

  #object(fd: Word): Command {
    const random = this.#random;
    const pathname = { path: random.percent(70) ? random.pick(paths.slice(0, ORDINARY_PATHS)) : random.pick(paths) };
    if (random.percent(50)) {
      const wrong = random.percent(10) ? { file_flags: this.#flags() } : random.percent(5) ? { path_fd: 1 } : {};
      return this.#make(BPF_OBJ_PIN, "obj", { pathname, bpf_fd: fd, ...wrong });
    }
    const fields: Record<string, Word> = { pathname };
    if (random.percent(20)) fields["file_flags"] = random.pick([BPF_F_RDONLY, BPF_F_WRONLY, 24, 1, BPF_F_PATH_FD]);
    if (random.percent(5)) fields["bpf_fd"] = fd;
    if (random.percent(5)) fields["path_fd"] = -1;
    return this.#make(BPF_OBJ_GET, "obj", fields);
  }

  #id(): Command {
    const random = this.#random;
    const slot = { id: random.below(MAX_SLOTS) };
    if (random.percent(40)) {
      const start_id = random.percent(70) ? random.pick<Word>([0, slot]) : random.pick([2 ** 31 - 1, 2 ** 31, -1]);
      return this.#make(BPF_MAP_GET_NEXT_ID, "getId", { start_id });
    }
    const fields: Record<string, Word> = { map_id: random.percent(85) ? slot : random.pick([0, 2 ** 31 - 1, -1]) };
    if (random.percent(30)) fields["open_flags"] = random.pick([BPF_F_RDONLY, BPF_F_WRONLY, 24, 1, 32]);
    if (random.percent(10)) fields["next_id"] = random.u32();
    return this.#make(BPF_MAP_GET_FD_BY_ID, "getId", fields);
  }
}
