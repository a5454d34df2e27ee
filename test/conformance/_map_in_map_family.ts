/**
 * Rules that both maps of maps share. The teller gives inner maps as ordinals: in a value the first map made is 0.
 */
import {
  BPF_F_INNER_MAP,
  BPF_F_MMAPABLE,
  BPF_F_NO_PREALLOC,
  BPF_F_RDONLY,
  BPF_F_RDONLY_PROG,
  BPF_F_WRONLY,
  BPF_MAP_FREEZE,
  BPF_MAP_GET_FD_BY_ID,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_UPDATE_BATCH,
  EBADF,
  EFAULT,
  EINVAL,
  EPERM,
  ENOENT,
  ENOTSUPP,
  bpfAttr,
} from "tsbpf/uapi";
import { INFO, KEY, KEYS, NEXT, OUT, VALUE } from "../machine/arena.js";
import { type Fd, type Fields, type Teller, u32, u64 } from "./story.js";

const noFd = 0x7ffffff0;
export const inner = { map_type: BPF_MAP_TYPE_HASH, key_size: 4, value_size: 8, max_entries: 4 };

export function refusesTemplates(t: Teller, base: Fields): void {
  t.refuses(-EBADF, { ...base, inner_map_fd: noFd });
  t.refuses(-EBADF, { ...base, inner_map_fd: -1 });
  // 0 to 2 are a process's own files.
  t.refuses(-EINVAL, base);
  const programs = t.create({ map_type: BPF_MAP_TYPE_PROG_ARRAY, key_size: 4, value_size: 4, max_entries: 1 });
  t.refuses(-ENOTSUPP, { ...base, inner_map_fd: programs });
  const one = t.create(inner);
  for (const map_type of [BPF_MAP_TYPE_ARRAY_OF_MAPS, BPF_MAP_TYPE_HASH_OF_MAPS]) {
    const outer = t.create({ ...base, map_type, inner_map_fd: one });
    t.refuses(-EINVAL, { ...base, inner_map_fd: outer });
  }
  // Nor one that is for a single program.
  const exclusive = t.create({ ...inner, excl_prog_hash: { to: INFO }, excl_prog_hash_size: 32 });
  t.refuses(-ENOTSUPP, { ...base, inner_map_fd: exclusive });
  const outer = t.create({ ...base, inner_map_fd: one });
  t.update(outer, u32(1), exclusive, 0, -ENOTSUPP);
  const unlike = t.create({ ...inner, value_size: 4, excl_prog_hash: { to: INFO }, excl_prog_hash_size: 32 });
  t.update(outer, u32(1), unlike, 0, -ENOTSUPP);
  // Sizes first.
  t.refuses(-EINVAL, { ...base, value_size: 8, inner_map_fd: noFd });
  t.refuses(-EINVAL, { ...base, max_entries: 0, inner_map_fd: noFd });
  // The template before the name.
  t.refuses(-EBADF, { ...base, inner_map_fd: noFd, map_name: Uint8Array.of(0x20) });
  t.refuses(-EINVAL, { ...base, inner_map_fd: one, map_name: Uint8Array.of(0x20) });
}

export function templatesMatch(t: Teller, base: Fields): void {
  const others: readonly (readonly [template: Fields, fits: Fields, fitsNot: Fields[]])[] = [
    [
      inner,
      { max_entries: 99 },
      [{ map_type: BPF_MAP_TYPE_PERCPU_HASH }, { key_size: 8 }, { value_size: 4 }, { map_flags: BPF_F_NO_PREALLOC }],
    ],
    [
      { ...inner, map_type: BPF_MAP_TYPE_ARRAY },
      { map_flags: BPF_F_RDONLY },
      [
        { max_entries: 5 },
        { value_size: 4 },
        { map_flags: BPF_F_INNER_MAP },
        { map_flags: BPF_F_MMAPABLE },
        { map_flags: BPF_F_RDONLY_PROG },
      ],
    ],
    [
      { ...inner, map_type: BPF_MAP_TYPE_ARRAY, map_flags: BPF_F_INNER_MAP },
      { max_entries: 77 },
      [{ map_flags: 0 }, { value_size: 16 }],
    ],
    [{ ...inner, map_type: BPF_MAP_TYPE_PERCPU_ARRAY }, { max_entries: 9 }, [{ value_size: 4 }]],
  ];
  for (const [template, fits, fitsNot] of others) {
    const first = t.create(template);
    const outer = t.create({ ...base, inner_map_fd: first });
    t.close(first);
    const good = t.create({ ...template, ...fits });
    t.update(outer, u32(1), good);
    for (const wrong of fitsNot) {
      const bad = t.create({ ...template, ...wrong });
      t.update(outer, u32(1), bad, 0, -EINVAL);
      t.close(bad);
    }
    t.close(good);
    t.close(outer);
  }
}

export function holdsMaps(t: Teller, base: Fields): void {
  const first = t.create(inner);
  const second = t.create(inner);
  const outer = t.create({ ...base, inner_map_fd: first });
  t.lookup(outer, u32(1), -ENOENT);
  t.holds(outer, []);
  t.update(outer, u32(1), first);
  t.lookup(outer, u32(1), u32(0));
  t.update(outer, u32(3), second);
  t.lookup(outer, u32(3), u32(1));
  t.holds(outer, ["01000000=0", "03000000=1"]);
  t.update(outer, u32(1), second);
  t.lookup(outer, u32(1), u32(1));
  // The same once more.
  t.update(outer, u32(1), second);
  t.holds(outer, ["01000000=1", "03000000=1"]);
  t.delete(outer, u32(1));
  t.lookup(outer, u32(1), -ENOENT);
  t.delete(outer, u32(1), -ENOENT);
  t.holds(outer, ["03000000=1"]);
}

export function refusesFds(t: Teller, base: Fields): void {
  const one = t.create(inner);
  const outer = t.create({ ...base, inner_map_fd: one });
  t.update(outer, u32(1), u32(noFd), 0, -EBADF);
  t.update(outer, u32(1), u32(2 ** 32 - 1), 0, -EBADF);
  t.update(outer, u32(1), u32(0), 0, -EINVAL);
  t.update(outer, u32(1), outer, 0, -EINVAL);
  t.lookup(outer, u32(1), -ENOENT);
  // An fd of any mode will do.
  t.update(outer, u32(1), t.create({ ...inner, map_flags: BPF_F_RDONLY }));
  t.update(outer, u32(1), t.create({ ...inner, map_flags: BPF_F_WRONLY }));
}

export function modesOfFds(t: Teller, base: Fields): void {
  const one = t.create(inner);
  const reader = t.create({ ...base, inner_map_fd: one, map_flags: BPF_F_RDONLY });
  t.update(reader, u32(1), u32(noFd), 0, -EPERM);
  t.delete(reader, u32(1), -EPERM);
  t.lookup(reader, u32(1), -ENOENT);
  const writer = t.create({ ...base, inner_map_fd: one, map_flags: BPF_F_WRONLY });
  t.update(writer, u32(1), one);
  t.lookup(writer, u32(1), -EPERM);
  t.delete(writer, u32(1));
}

export function keepsInnerMaps(t: Teller, base: Fields): void {
  const first = t.create(inner);
  t.update(first, u32(7), u64(70));
  const outer = t.create({ ...base, inner_map_fd: first });
  t.update(outer, u32(1), first);
  t.close(first);
  t.lookup(outer, u32(1), u32(0));
  const again = t.opens(BPF_MAP_GET_FD_BY_ID, "getId", { map_id: { id: first.fd } });
  t.lookup(again, u32(7), u64(70));
  // It may also stay open longer than the map that holds it.
  t.close(outer);
  t.lookup(again, u32(7), u64(70));
}

/** One batch, and the count that comes back. `values`: inner maps, or nothing. */
export function batch(
  t: Teller,
  cmd: number,
  fd: Fd,
  keys: readonly number[],
  values: readonly (Fd | number)[],
  wanted: number,
  count: number,
  fields: Fields = {},
): void {
  const all = { map_fd: fd, out_batch: { to: OUT }, keys: { to: KEYS }, values: { to: VALUE }, count: keys.length };
  t.command(cmd, "batch", { ...all, ...fields }, wanted, {
    data: [
      ...keys.map((key, i) => [KEYS + 4 * i, u32(key)] as const),
      ...values.map((value, i) => [VALUE + 4 * i, typeof value === "number" ? u32(value) : value] as const),
    ],
  });
  t.equal("count", t.bytesAt(bpfAttr.batch.count.off, 4), u32(count));
}

export function updatesBatches(t: Teller, base: Fields): void {
  const first = t.create(inner);
  const second = t.create(inner);
  const outer = t.create({ ...base, inner_map_fd: first });
  for (const elem_flags of [1, 4, 8]) {
    batch(t, BPF_MAP_UPDATE_BATCH, outer, [1], [first], -EINVAL, 1, { elem_flags });
    batch(t, BPF_MAP_LOOKUP_BATCH, outer, [1], [], -EINVAL, 1, { elem_flags });
  }
  batch(t, BPF_MAP_UPDATE_BATCH, outer, [], [], 0, 0);
  batch(t, BPF_MAP_UPDATE_BATCH, outer, [1, 3], [first, second], 0, 2);
  t.holds(outer, ["01000000=0", "03000000=1"]);
  batch(t, BPF_MAP_UPDATE_BATCH, outer, [2, 1, 0], [second, noFd, first], -EBADF, 1);
  batch(t, BPF_MAP_UPDATE_BATCH, outer, [2, 1, 0], [first, outer, first], -EINVAL, 1);
  t.holds(outer, ["01000000=0", "02000000=0", "03000000=1"]);
  batch(t, BPF_MAP_UPDATE_BATCH, outer, [0], [first], -EFAULT, 0, { values: 8 });
}

export function takesNoElems(t: Teller, base: Fields): void {
  const one = t.create(inner);
  const outer = t.create({ ...base, inner_map_fd: one });
  t.update(outer, u32(1), one);
  const fields = { map_fd: outer, key: { to: KEY }, value: { to: NEXT } };
  t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", fields, -ENOTSUPP, { data: [[KEY, u32(1)]] });
  t.lookup(outer, u32(1), u32(0));
}

export function freezesOuter(t: Teller, base: Fields): void {
  const first = t.create(inner);
  const outer = t.create({ ...base, inner_map_fd: first });
  t.update(outer, u32(1), first);
  t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: outer }, 0);
  t.update(outer, u32(1), first, 0, -EPERM);
  t.delete(outer, u32(1), -EPERM);
  batch(t, BPF_MAP_UPDATE_BATCH, outer, [1], [first], -EPERM, 1);
  t.lookup(outer, u32(1), u32(0));
  // What is in it is not frozen with it.
  t.update(first, u32(7), u64(70));
  // A frozen map may go in all the same.
  const other = t.create({ ...base, inner_map_fd: first });
  t.command(BPF_MAP_FREEZE, "mapElem", { map_fd: first }, 0);
  t.update(other, u32(1), first);
}

export function refusesExclusiveMaps(t: Teller, base: Fields): void {
  const alone = { excl_prog_hash: { to: INFO }, excl_prog_hash_size: 32 };
  const one = t.create(inner);
  const exclusive = t.create({ ...inner, ...alone });
  t.refuses(-ENOTSUPP, { ...base, inner_map_fd: exclusive });
  const outer = t.create({ ...base, inner_map_fd: one });
  t.update(outer, u32(1), exclusive, 0, -ENOTSUPP);
  // Before its shape.
  t.update(outer, u32(1), t.create({ ...inner, value_size: 4, ...alone }), 0, -ENOTSUPP);
  // The outer map may be one.
  const own = t.create({ ...base, inner_map_fd: one, ...alone });
  t.update(own, u32(1), one);
  t.update(own, u32(1), exclusive, 0, -ENOTSUPP);
  t.refuses(-EINVAL, { ...base, inner_map_fd: own });
}
