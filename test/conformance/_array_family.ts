/**
 * Rules that all arrays share. `value(i)` is the i-th value of the array.
 */
import { BPF_EXIST, BPF_NOEXIST, E2BIG, EEXIST, EFAULT, EINVAL, ENOENT, BPF_MAP_DELETE_ELEM } from "tsbpf/uapi";
import { type Fields, type Teller, u32 } from "./story.js";

type ValueOf = (i: number) => Uint8Array;

const beyond = [4, 5, 1000, 2 ** 31, 2 ** 32 - 1];

export function hasAllElems(t: Teller, base: Fields, value: ValueOf): void {
  const fd = t.create(base);
  const zero = new Uint8Array(value(0).length);
  for (let i = 0; i < 4; i++) t.lookup(fd, u32(i), zero);
  for (let i = 0; i < 4; i++) t.update(fd, u32(i), value(i));
  for (let i = 0; i < 4; i++) t.lookup(fd, u32(i), value(i));
  t.update(fd, u32(2), value(9), BPF_EXIST);
  t.lookup(fd, u32(1), value(1));
  t.lookup(fd, u32(2), value(9));
  t.lookup(fd, u32(3), value(3));
  for (const i of beyond) t.lookup(fd, u32(i), -ENOENT);
}

export function refusesUpdates(t: Teller, base: Fields, value: ValueOf): void {
  const fd = t.create(base);
  t.update(fd, u32(1), value(1), BPF_NOEXIST, -EEXIST);
  for (const i of beyond) {
    t.update(fd, u32(i), value(1), 0, -E2BIG);
    t.update(fd, u32(i), value(1), BPF_NOEXIST, -E2BIG);
    t.update(fd, u32(i), value(1), BPF_EXIST, -E2BIG);
    t.update(fd, u32(i), value(1), 3, -EINVAL);
  }
  t.lookup(fd, u32(1), new Uint8Array(value(1).length));
}

export function neverDeletes(t: Teller, base: Fields, value: ValueOf): void {
  const fd = t.create(base);
  t.update(fd, u32(1), value(1));
  for (const i of [1, ...beyond]) t.delete(fd, u32(i), -EINVAL);
  t.command(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd, key: 0 }, -EFAULT);
  t.lookup(fd, u32(1), value(1));
}

export function walksIndices(t: Teller, base: Fields): void {
  for (const n of [1, 2, 5]) {
    const fd = t.create({ ...base, max_entries: n });
    for (const key of [undefined, u32(n), u32(n + 1), u32(2 ** 31), u32(2 ** 32 - 1)]) t.next(fd, key, u32(0));
    for (let i = 0; i + 1 < n; i++) t.next(fd, u32(i), u32(i + 1));
    t.next(fd, u32(n - 1), -ENOENT);
    t.close(fd);
  }
}

export function refusesSizes(t: Teller, base: Fields): void {
  for (const wrong of [{ max_entries: 0 }, { value_size: 0 }]) t.refuses(-EINVAL, { ...base, ...wrong });
  for (const key_size of [0, 1, 3, 5, 8, 2 ** 32 - 1]) t.refuses(-EINVAL, { ...base, key_size });
  t.refuses(-EINVAL, { ...base, value_size: 2 ** 31, key_size: 8 });
  for (const value_size of [2 ** 31, 2 ** 32 - 1]) t.refuses(-E2BIG, { ...base, value_size });
}
