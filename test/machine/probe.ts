/**
 * Questions that a test asks a kernel on its own account, beside the commands under test: what an fd is of, what a map holds.
 */
import type { Kernel, UserBuffer } from "tsbpf";
import {
  BPF_ATTR_SIZE,
  BPF_BTF_INFO_SIZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_GET_NEXT_ID,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_OBJ_GET_INFO_BY_FD,
  ENOENT,
  ENOSPC,
  bpfAttr,
  bpfBtfInfo,
  bpfMapInfo,
} from "tsbpf/uapi";

/** What is fixed about a map. */
export interface MapFacts {
  readonly id: number;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** The id of its BTF, or 0. */
  readonly btfId?: number;
}

export function isHash({ type }: Pick<MapFacts, "type">): boolean {
  return (
    type === BPF_MAP_TYPE_HASH ||
    type === BPF_MAP_TYPE_PERCPU_HASH ||
    type === BPF_MAP_TYPE_HASH_OF_MAPS ||
    type === BPF_MAP_TYPE_DEVMAP_HASH ||
    isLru({ type })
  );
}

export function isMapInMap({ type }: Pick<MapFacts, "type">): boolean {
  return type === BPF_MAP_TYPE_ARRAY_OF_MAPS || type === BPF_MAP_TYPE_HASH_OF_MAPS;
}

/** Whether values are network devices. */
export function isDevmap({ type }: Pick<MapFacts, "type">): boolean {
  return type === BPF_MAP_TYPE_DEVMAP || type === BPF_MAP_TYPE_DEVMAP_HASH;
}

/** Whether the map is given no keys. */
export function isKeyless({ keySize }: Pick<MapFacts, "keySize">): boolean {
  return keySize === 0;
}

/** Which elems stay when there is no room is each kernel's own affair. */
export function isLru({ type }: Pick<MapFacts, "type">): boolean {
  return type === BPF_MAP_TYPE_LRU_HASH || type === BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

export function isPerCpu({ type }: Pick<MapFacts, "type">): boolean {
  return (
    type === BPF_MAP_TYPE_PERCPU_HASH || type === BPF_MAP_TYPE_PERCPU_ARRAY || type === BPF_MAP_TYPE_LRU_PERCPU_HASH
  );
}

/** Whether values are fds on the way in. */
export function holdsFds(map: Pick<MapFacts, "type">): boolean {
  return isMapInMap(map) || map.type === BPF_MAP_TYPE_PROG_ARRAY;
}

/** Bytes of a value as system calls have it. */
export function valueBytes({ type, valueSize }: Pick<MapFacts, "type" | "valueSize">, possibleCpus: number): number {
  return isPerCpu({ type }) ? Math.ceil(valueSize / 8) * 8 * possibleCpus : valueSize;
}

/** Elems of a map, or the errno and what was wrong with the walk. */
export interface Walk {
  readonly ret: number;
  /** "key=value" in hex, in the kernel's order. */
  readonly elems: string[];
  /** What must not be; "" if all is well. */
  readonly wrong: string;
}

/** No elem has a key or a value that is longer: commands take them out of the arena. */
const KEY_ROOM = 1 << 17;
const VALUE_ROOM = 1 << 18;
const NEXT_AT = BPF_ATTR_SIZE + KEY_ROOM;
const VALUE_AT = NEXT_AT + KEY_ROOM;

export class Probe {
  readonly #kernel: Kernel;
  readonly #buffer: UserBuffer;
  readonly #view: DataView;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#buffer = kernel.alloc(VALUE_AT + VALUE_ROOM);
    const { buffer, byteOffset } = this.#buffer.bytes;
    this.#view = new DataView(buffer, byteOffset);
  }

  #call(cmd: number, words: readonly (readonly [field: { off: number; size: number }, value: number])[]): number {
    this.#buffer.bytes.fill(0, 0, BPF_ATTR_SIZE);
    for (const [{ off, size }, value] of words) {
      if (size === 8) this.#view.setBigUint64(off, BigInt(value), true);
      else this.#view.setInt32(off, value, true);
    }
    return this.#kernel.bpf(cmd, this.#buffer, BPF_ATTR_SIZE);
  }

  #hex(at: number, length: number): string {
    return Buffer.from(this.#buffer.bytes.slice(at, at + length)).toString("hex");
  }

  /** What an fd is of; undefined for none. */
  facts(fd: number): MapFacts | undefined {
    const { bpf_fd, info_len, info } = bpfAttr.info;
    const words = [
      [bpf_fd, fd],
      [info_len, BPF_MAP_INFO_SIZE],
      [info, this.#buffer.address + VALUE_AT],
    ] as const;
    this.#buffer.bytes.fill(0, VALUE_AT, VALUE_AT + BPF_MAP_INFO_SIZE);
    if (this.#call(BPF_OBJ_GET_INFO_BY_FD, words) !== 0) return undefined;
    const read = ({ off }: { off: number }): number => this.#view.getUint32(VALUE_AT + off, true);
    const { id, type, key_size, value_size, max_entries, btf_id } = bpfMapInfo;
    return {
      id: read(id),
      type: read(type),
      keySize: read(key_size),
      valueSize: read(value_size),
      maxEntries: read(max_entries),
      btfId: read(btf_id),
    };
  }

  /** The id of the BTF object that an fd is of; undefined for any other. */
  btfId(fd: number): number | undefined {
    const { bpf_fd, info_len, info } = bpfAttr.info;
    const words = [
      [bpf_fd, fd],
      [info_len, BPF_BTF_INFO_SIZE],
      [info, this.#buffer.address + VALUE_AT],
    ] as const;
    // A map's info begins with its type, and what a BTF object's begins with is not changed.
    this.#buffer.bytes.fill(0, VALUE_AT, VALUE_AT + BPF_MAP_INFO_SIZE);
    if (this.#call(BPF_OBJ_GET_INFO_BY_FD, words) !== 0) return undefined;
    const read = ({ off }: { off: number }): number => this.#view.getUint32(VALUE_AT + off, true);
    return read(bpfMapInfo.type) === 0 ? read(bpfBtfInfo.id) : undefined;
  }

  /** A new fd for an id, or a negative errno. */
  open(id: number): number {
    return this.#call(BPF_MAP_GET_FD_BY_ID, [[bpfAttr.getId.map_id, id]]);
  }

  /** The id that follows, or a negative errno. */
  nextId(id: number): number {
    const ret = this.#call(BPF_MAP_GET_NEXT_ID, [[bpfAttr.getId.start_id, id]]);
    return ret < 0 ? ret : this.#view.getUint32(bpfAttr.getId.next_id.off, true);
  }

  /** BPF_MAP_LOOKUP_ELEM's return; the value is at VALUE_AT. */
  lookup(fd: number, key: Uint8Array): number {
    this.#buffer.bytes.set(key, BPF_ATTR_SIZE);
    return this.#lookupAt(fd, BPF_ATTR_SIZE);
  }

  #lookupAt(fd: number, keyAt: number): number {
    const { address } = this.#buffer;
    const { map_fd, key, value } = bpfAttr.mapElem;
    return this.#call(BPF_MAP_LOOKUP_ELEM, [
      [map_fd, fd],
      [key, address + keyAt],
      [value, address + VALUE_AT],
    ]);
  }

  /** All elems, key by key. */
  walk(fd: number, facts: MapFacts): Walk {
    const { address, bytes } = this.#buffer;
    const { map_fd, key, next_key } = bpfAttr.mapElem;
    const { keySize, maxEntries } = facts;
    const elems: string[] = [];
    const seen = new Set<string>();
    for (let from = 0; ; from = address + BPF_ATTR_SIZE) {
      const ret = this.#call(BPF_MAP_GET_NEXT_KEY, [
        [map_fd, fd],
        [key, from],
        [next_key, address + NEXT_AT],
      ]);
      if (ret === -ENOENT) return { ret: elems.length, elems, wrong: "" };
      if (ret !== 0) return { ret, elems, wrong: "" };
      const found = this.#hex(NEXT_AT, keySize);
      if (seen.has(found)) return { ret: 0, elems, wrong: `key ${found} twice` };
      if (seen.size === maxEntries) return { ret: 0, elems, wrong: `more than ${maxEntries} keys` };
      seen.add(found);
      const lookup = this.#lookupAt(fd, NEXT_AT);
      // Of an array of maps, most keys may have none.
      if (lookup === -ENOENT && facts.type === BPF_MAP_TYPE_ARRAY_OF_MAPS) {
        bytes.copyWithin(BPF_ATTR_SIZE, NEXT_AT, NEXT_AT + keySize);
        continue;
      }
      if (lookup !== 0) return { ret: lookup, elems, wrong: `key ${found} cannot be looked up` };
      elems.push(`${found}=${this.#hex(VALUE_AT, valueBytes(facts, this.#kernel.possibleCpus))}`);
      bytes.copyWithin(BPF_ATTR_SIZE, NEXT_AT, NEXT_AT + keySize);
    }
  }

  /** All elems, by batches of `count`, or of more where a batch has no room for a whole bucket. */
  walkBatches(fd: number, facts: MapFacts, count: number): Walk {
    const valueSize = valueBytes(facts, this.#kernel.possibleCpus);
    const elems: string[] = [];
    const seen = new Set<string>();
    const fields = bpfAttr.batch;
    const cursorRoom = Math.max(facts.keySize, 8);
    for (let inBatch = 0, room = count; ;) {
      using buffer = this.#kernel.alloc(2 * cursorRoom + room * (facts.keySize + valueSize));
      const keysAt = 2 * cursorRoom;
      const valuesAt = keysAt + room * facts.keySize;
      // The cursor that came out is the one that goes in: it was left in the probe's buffer.
      const ret = this.#call(BPF_MAP_LOOKUP_BATCH, [
        [fields.in_batch, inBatch],
        [fields.out_batch, buffer.address],
        [fields.keys, buffer.address + keysAt],
        [fields.values, buffer.address + valuesAt],
        [fields.count, room],
        [fields.map_fd, fd],
      ]);
      if (ret === -ENOSPC && room < facts.maxEntries) {
        room *= 2;
        continue;
      }
      if (ret !== 0 && ret !== -ENOENT) return { ret, elems, wrong: "" };
      const done = this.#view.getUint32(fields.count.off, true);
      if (done > room) return { ret, elems, wrong: `${done} elems in a batch of ${room}` };
      for (let i = 0; i < done; i++) {
        const hex = (at: number, length: number): string =>
          Buffer.from(buffer.bytes.slice(at, at + length)).toString("hex");
        const key = hex(keysAt + i * facts.keySize, facts.keySize);
        if (seen.has(key)) return { ret: 0, elems, wrong: `key ${key} twice` };
        seen.add(key);
        elems.push(`${key}=${hex(valuesAt + i * valueSize, valueSize)}`);
      }
      if (ret === -ENOENT) return { ret: elems.length, elems, wrong: "" };
      if (done === 0) return { ret, elems, wrong: "a batch of nothing that is not the last" };
      this.#buffer.bytes.set(buffer.bytes.subarray(0, cursorRoom), NEXT_AT);
      inBatch = this.#buffer.address + NEXT_AT;
    }
  }

  [Symbol.dispose](): void {
    this.#buffer[Symbol.dispose]();
  }
}
