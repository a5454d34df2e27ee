/**
 * Rules that maps without keys share: queues, stacks, bloom filters.
 */
import {
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_BATCH,
  BPF_MAP_UPDATE_ELEM,
  E2BIG,
  EFAULT,
  EINVAL,
  ENOTSUPP,
  EPERM,
} from "tsbpf/uapi";
import { END, KEY, KEYS, NEXT, OUT, VALUE } from "../machine/arena.js";
import { type Fields, type Teller, run, u32 } from "./story.js";

/** Sizes that are refused; `both`: what a value that is too large answers beside another mistake. */
export function refusesSizes(t: Teller, base: Fields, both: number): void {
  for (const wrong of [{ key_size: 4 }, { key_size: 1 }, { value_size: 0 }, { max_entries: 0 }]) {
    t.refuses(-EINVAL, { ...base, ...wrong });
    t.refuses("value_size" in wrong ? -EINVAL : both, { ...base, value_size: 2 ** 32 - 1, ...wrong });
  }
  t.refuses(-EINVAL, { ...base, map_flags: BPF_F_NO_PREALLOC });
  t.close(t.create({ ...base, value_size: 4 * 1024 * 1024, max_entries: 1 }));
  t.refuses(-E2BIG, { ...base, value_size: 4 * 1024 * 1024 + 1, max_entries: 1 });
  t.refuses(-E2BIG, { ...base, value_size: 2 ** 32 - 1 });
}

/** A key is one too many, wherever it points. */
export function refusesKeys(t: Teller, base: Fields): void {
  const fd = t.create(base);
  t.push(fd, u32(1));
  for (const key of [{ to: KEY }, { to: END }, 1]) {
    const fields = { map_fd: fd, key, value: { to: VALUE } };
    for (const cmd of [BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_LOOKUP_AND_DELETE_ELEM]) {
      t.command(cmd, "mapElem", cmd === BPF_MAP_DELETE_ELEM ? { map_fd: fd, key } : fields, -EINVAL);
    }
    t.command(BPF_MAP_GET_NEXT_KEY, "mapElem", { map_fd: fd, key, next_key: { to: NEXT } }, -EINVAL);
  }
}

/** Deleting and walking: `wanted` is what both answer. */
export function refusesWalks(t: Teller, base: Fields, wanted: number): void {
  const fd = t.create(base);
  for (let n = 0; n < 2; n++) {
    t.command(BPF_MAP_DELETE_ELEM, "mapElem", { map_fd: fd, key: 0 }, wanted);
    for (const next_key of [0, { to: NEXT }, { to: END }]) {
      t.command(BPF_MAP_GET_NEXT_KEY, "mapElem", { map_fd: fd, key: 0, next_key }, wanted);
    }
    t.push(fd, u32(1));
  }
}

/** No batches: said before anything else of them. */
export function refusesBatches(t: Teller, base: Fields): void {
  const fd = t.create(base);
  for (const cmd of [
    BPF_MAP_LOOKUP_BATCH,
    BPF_MAP_LOOKUP_AND_DELETE_BATCH,
    BPF_MAP_UPDATE_BATCH,
    BPF_MAP_DELETE_BATCH,
  ]) {
    const all = { map_fd: fd, out_batch: { to: OUT }, keys: { to: KEYS }, values: { to: VALUE } };
    for (const rest of [{ count: 1 }, { count: 0 }, { count: 1, elem_flags: 8 }]) {
      t.command(cmd, "batch", { ...all, ...rest }, -ENOTSUPP);
    }
  }
}

/** Fds that may only read, or only write. */
export function obeysModes(t: Teller, base: Fields): void {
  const reader = t.create({ ...base, map_flags: BPF_F_RDONLY });
  t.push(reader, u32(1), 0, -EPERM);
  const writer = t.create({ ...base, map_flags: BPF_F_WRONLY });
  t.push(writer, u32(1));
  t.peek(writer, -EPERM);
  for (const fd of [reader, writer]) t.pop(fd, -EPERM);
}

/** Values of each size, and nothing beside them. */
export function holdsValuesOfEachSize(t: Teller, base: Fields): void {
  for (const value_size of [1, 2, 3, 4, 5, 7, 8, 9, 12, 16, 17, 63, 64, 65, 129, 1000]) {
    const fd = t.create({ ...base, value_size });
    t.push(fd, run(value_size, 7));
    t.push(fd, run(value_size, 90));
    t.close(fd);
  }
}

/** A value that cannot be read. */
export function refusesBadValues(t: Teller, base: Fields): void {
  const fd = t.create(base);
  for (const value of [0, { to: END }, { to: END - 3 }, 2n ** 63n]) {
    t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, key: 0, value }, -EFAULT);
    t.command(BPF_MAP_UPDATE_ELEM, "mapElem", { map_fd: fd, key: 0, value, flags: 9 }, -EFAULT);
  }
}
