/**
 * Random steps: what a careful, a careless and a hostile caller do. They follow from the seed and from what was answered before.
 */
import {
  BPF_F_LOCK,
  BPF_F_PATH_FD,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
} from "tsbpf/uapi";
import { IN, INFO, KEY, KEYS, NEXT, OUT, VALUE } from "../machine/arena.js";
import type { AttrGroup, Command, Step, Word } from "../machine/command.js";
import { type MapFacts, isHash, isLru, valueBytes } from "../machine/probe.js";
import { corrupt } from "./corrupt.js";
import { LRU_ROOM, randomCreate } from "./create.js";
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
const paths = ["p0", "p1", "p2", "p.3", "p0/", "nosuch/p", "/", "/nosuch/p", "."];

export class Generator {
  readonly #random: Random;
  readonly #known: Known;
  /** The slot that most commands are about, for a while: so that maps fill, and keys are met again. */
  #focus = 0;

  constructor(random: Random, known: Known) {
    this.#random = random;
    this.#known = known;
  }

  next(): Step {
    const random = this.#random;
    const open = this.#openSlots();
    const which = random.below(100);
    if (open.length === 0 || (which < 10 && open.length < MAX_SLOTS)) return this.#maybeCorrupt(randomCreate(random));
    if (which < 14)
      return { op: "close", fd: random.percent(90) ? { fd: random.pick(open) } : random.pick([-1, 0x7ffffff0]) };
    if (which < 17) return this.#walk(random.pick(open));
    if (which < 18) return { op: "ids" };
    if (which < 19) return { op: "unlink", path: random.pick(paths.slice(0, 3)) };
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
    const { fd, map } = this.#fd();
    const which = this.#random.below(100);
    if (which < 28) return this.#update(fd, map);
    if (which < 48) return this.#lookup(fd, map);
    if (which < 60) return this.#delete(fd, map);
    if (which < 70) return this.#nextKey(fd, map);
    if (which < 80 && KEYS + map.keySize * map.maxEntries < VALUE) return this.#lookupBatch(fd, map);
    if (which < 88) return this.#info(fd);
    if (which < 95) return this.#object(fd);
    if (which < 99) return this.#id();
    return this.#make(this.#random.pick([60, 1000, 2 ** 31, -1]), "mapElem", { map_fd: fd });
  }

  #make(cmd: number, group: AttrGroup, fields: Record<string, Word>, data: Data = []): Command {
    return { op: "bpf", cmd, group, fields, data };
  }

  /** An fd and the map that it should be of; now and then one that is closed, was never open, or is no map. */
  #fd(): { fd: Word; map: MapFacts } {
    const random = this.#random;
    const open = this.#openSlots();
    if (random.percent(4))
      return { fd: random.pick<Word>([-1, 0, 1, 2, 0x7ffffff0, { fd: 0 }, { fd: 9 }]), map: noMap };
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
    const entries = isLru(map) ? Math.ceil(map.maxEntries / LRU_ROOM) : map.maxEntries;
    const i = random.below(random.percent(70) ? 4 : Math.ceil(Math.min(entries, 1000) * 1.5));
    const key = new Uint8Array(Math.min(map.keySize, 4096));
    const view = new DataView(key.buffer);
    if (!isHash(map)) {
      view.setUint32(0, random.percent(3) ? random.pick([2 ** 32 - 1, 2 ** 31, map.maxEntries]) : i, true);
    } else {
      // Keys of a size differ in any of their bytes, the last one too.
      for (let at = 0; at < key.length; at++) key[at] = at % 5 === i % 5 || key.length < 3 ? i + 1 : 0;
    }
    return key;
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
    const bytes = this.#random.bytes(Math.min(valueBytes(map, this.#known.kernel.possibleCpus), 1 << 16));
    const fields = { map_fd: fd, key: { to: key }, value: { to: value }, flags: this.#flags() };
    return this.#make(BPF_MAP_UPDATE_ELEM, "mapElem", fields, [
      [key, this.#key(map)],
      [value, bytes],
    ]);
  }

  #lookup(fd: Word, map: MapFacts): Command {
    const random = this.#random;
    const key = this.#at(KEY);
    const value = random.percent(97) ? this.#at(VALUE) : key;
    const flags = random.percent(92) ? 0 : this.#flags();
    const scribble = new Uint8Array(Math.min(valueBytes(map, this.#known.kernel.possibleCpus), 1 << 16) + 8);
    const fields = { map_fd: fd, key: { to: key }, value: { to: value }, flags };
    return this.#make(BPF_MAP_LOOKUP_ELEM, "mapElem", fields, [
      [VALUE, scribble.fill(1 + random.below(255))],
      [key, this.#key(map)],
    ]);
  }

  #delete(fd: Word, map: MapFacts): Command {
    const key = this.#at(KEY);
    return this.#make(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd, key: { to: key } }, [[key, this.#key(map)]]);
  }

  #nextKey(fd: Word, map: MapFacts): Command {
    const random = this.#random;
    const key = this.#at(KEY);
    const next = random.percent(20) ? key : this.#at(NEXT);
    const fields = { map_fd: fd, key: random.percent(25) ? 0 : { to: key }, next_key: { to: next } };
    return this.#make(BPF_MAP_GET_NEXT_KEY, "mapElem", fields, [[key, this.#key(map)]]);
  }

  #lookupBatch(fd: Word, map: MapFacts): Command {
    const random = this.#random;
    const cursor = random.percent(50) ? this.#key(map).slice(0, 4) : new Uint8Array(4).fill(0xff);
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

  #info(fd: Word): Command {
    const random = this.#random;
    const info_len = random.percent(50) ? BPF_MAP_INFO_SIZE : random.pick(infoLengths);
    const zeroes = new Uint8Array(4200);
    if (random.percent(10)) zeroes[random.below(Math.max(1, Math.min(info_len, 4200)))] = random.u32();
    if (random.percent(8))
      zeroes.set(random.pick([[1], [0, 0, 0, 0, 0, 0, 0, 0, 32], [8, 0, 0, 0, 0, 0, 0, 0, 32]]), 88);
    return this.#make(BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd: fd, info_len, info: { to: INFO } }, [[INFO, zeroes]]);
  }

  #object(fd: Word): Command {
    const random = this.#random;
    const pathname = { path: random.percent(70) ? random.pick(paths.slice(0, 3)) : random.pick(paths) };
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
