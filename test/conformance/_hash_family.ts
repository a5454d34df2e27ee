/**
 * Rules that all hash tables share. `value(i)` is the i-th value of the table.
 */
import { BPF_EXIST, BPF_F_NO_PREALLOC, BPF_NOEXIST, E2BIG, EEXIST, ENOENT } from "tsbpf/uapi";
import { type Fields, type Teller, u32 } from "./story.js";

type ValueOf = (i: number) => Uint8Array;

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** The key in front of its value, as a walk gives them. */
export function elemText(key: Uint8Array, value: Uint8Array): string {
  return `${hex(key)}=${hex(value)}`;
}

export function fillsUp(t: Teller, base: Fields, value: ValueOf): void {
  for (const map_flags of [0, BPF_F_NO_PREALLOC]) {
    for (const n of [1, 2, 3, 4, 5, 8, 17]) {
      const fd = t.create({ ...base, max_entries: n, map_flags });
      for (let i = 0; i < n; i++) t.update(fd, u32(i), value(i));
      t.update(fd, u32(n), value(n), 0, -E2BIG);
      t.update(fd, u32(n), value(n), BPF_NOEXIST, -E2BIG);
      t.update(fd, u32(n), value(n), BPF_EXIST, -ENOENT);
      // What is there can be replaced all the same.
      t.update(fd, u32(0), value(50));
      t.update(fd, u32(0), value(51), BPF_EXIST);
      t.update(fd, u32(0), value(52), BPF_NOEXIST, -EEXIST);
      t.lookup(fd, u32(0), value(51));
      t.delete(fd, u32(0));
      t.update(fd, u32(n), value(n));
      t.update(fd, u32(0), value(0), 0, -E2BIG);
      t.holds(
        fd,
        Array.from({ length: n }, (_, i) => elemText(u32(i + 1), value(i + 1))),
      );
      t.close(fd);
    }
  }
}

export function holdsKeysOfEachSize(t: Teller, base: Fields, value: ValueOf): void {
  for (const key_size of [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 20, 32, 40, 129, 600]) {
    const fd = t.create({ ...base, key_size, max_entries: 64 });
    // Keys that differ in one byte, be it the first, the last or any other.
    const places = [...new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, key_size >> 1, key_size - 2, key_size - 1])];
    const keys = places
      .filter((at) => at >= 0 && at < key_size)
      .map((at) => new Uint8Array(key_size).fill(1, at, at + 1));
    keys.push(new Uint8Array(key_size));
    for (const [i, key] of keys.entries()) t.update(fd, key, value(i), BPF_NOEXIST);
    for (const [i, key] of keys.entries()) t.lookup(fd, key, value(i));
    t.lookup(fd, new Uint8Array(key_size).fill(2), -ENOENT);
    t.holds(fd, keys.map((key, i) => elemText(key, value(i))).toSorted());
    for (const [i, key] of keys.entries()) {
      t.delete(fd, key);
      t.delete(fd, key, -ENOENT);
      if (i + 1 < keys.length) t.lookup(fd, keys[i + 1]!, value(i + 1));
    }
    t.holds(fd, []);
    t.close(fd);
  }
}

/** @param room How often all keys would have room: an LRU hash may let some go before it is full. */
export function walksKeys(t: Teller, base: Fields, value: ValueOf, room = 1): void {
  for (const n of [0, 1, 2, 5, 40]) {
    const fd = t.create({ ...base, max_entries: 40 * room });
    for (let i = 0; i < n; i++) t.update(fd, u32(i), value(i));
    const first = t.follower(fd, undefined, 4);
    // A key that is not there is followed by the first.
    sameKey(first, t.follower(fd, u32(99), 4));
    sameKey(first, t.follower(fd, u32(98), 4));
    const met = new Set<string>();
    for (let key = first; key !== undefined; key = t.follower(fd, key, 4)) {
      if (met.has(hex(key))) throw new Error(`Key ${hex(key)} came twice`);
      met.add(hex(key));
    }
    if (met.size !== n) throw new Error(`A walk over ${n} keys met ${met.size}`);
    t.close(fd);
  }
}

/** @param room As above. */
export function deletesWhileWalking(t: Teller, base: Fields, value: ValueOf, room = 1): void {
  const fd = t.create({ ...base, max_entries: 20 * room });
  for (let i = 0; i < 20; i++) t.update(fd, u32(i), value(i));
  let deleted = 0;
  for (let key = t.follower(fd, undefined, 4); key !== undefined; deleted++) {
    const next = t.follower(fd, key, 4);
    t.delete(fd, key);
    // The key is not there any more: the walk begins anew, with what is left.
    const again = t.follower(fd, key, 4);
    sameKey(next, again);
    key = again;
  }
  if (deleted !== 20) throw new Error(`A walk that deletes met ${deleted} of 20 keys`);
  t.holds(fd, []);
}

function sameKey(found: Uint8Array | undefined, wanted: Uint8Array | undefined): void {
  const text = (key: Uint8Array | undefined): string => (key === undefined ? "none" : hex(key));
  if (text(found) !== text(wanted)) throw new Error(`The next key is ${text(found)}: expected ${text(wanted)}`);
}
