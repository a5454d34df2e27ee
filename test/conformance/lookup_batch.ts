/**
 * BPF_MAP_LOOKUP_BATCH: checks and their order, what is written, and walks.
 */
import {
  BPF_F_LOCK,
  BPF_F_WRONLY,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  EBADF,
  EFAULT,
  EINVAL,
  ENOENT,
  EPERM,
  bpfAttr,
} from "tsbpf/uapi";
import { END, IN, KEYS, OUT, VALUE } from "../machine/arena.js";
import { isHash as isHashMap, isLru, isPerCpu as isPerCpuMap } from "../machine/probe.js";
import { type Fd, type Fields, type Story, type Teller, run, u32 } from "./story.js";

const types = [
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
];
const isHash = (type: number): boolean => isHashMap({ type });
const badPointers = [0, 8, { to: END }, { to: END - 3 }, 2n ** 63n];

/** A map of each type, of 4 elems: the hashes hold keys 0 to 2. */
function eachType(t: Teller, tell: (fd: Fd, type: number) => void, map_flags = 0): void {
  for (const map_type of types) {
    const isPerCpu = isPerCpuMap({ type: map_type });
    const fd = t.create({ map_type, key_size: 4, value_size: 4, max_entries: 4, map_flags });
    for (let i = 0; i < 3; i++) t.update(fd, u32(i), run(isPerCpu ? 8 * t.possibleCpus : 4, 16 * i));
    tell(fd, map_type);
    t.close(fd);
  }
}

/** One batch, and the count that came back. */
function batch(t: Teller, fd: Fd | number, fields: Fields, wanted: number, count: number): void {
  const all = { map_fd: fd, out_batch: { to: OUT }, keys: { to: KEYS }, values: { to: VALUE }, count: 8, ...fields };
  t.command(BPF_MAP_LOOKUP_BATCH, "batch", all, wanted);
  t.equal("count", t.bytesAt(bpfAttr.batch.count.off, 4), u32(count));
}

export const lookupBatch: Story = {
  "refusals leave count as it was": (t) => {
    batch(t, -1, {}, -EBADF, 8);
    batch(t, 0, {}, -EINVAL, 8);
    eachType(t, (fd, type) => {
      for (const elem_flags of [1, 2, BPF_F_LOCK, 8, 2n ** 32n]) {
        batch(t, fd, { elem_flags }, -EINVAL, 8);
        batch(t, fd, { elem_flags, count: 0 }, -EINVAL, 0);
      }
      for (const flags of [1, 2, 4, 2n ** 63n]) {
        if (isHash(type)) batch(t, fd, { flags }, -EINVAL, 8);
        else batch(t, fd, { flags }, -ENOENT, 4);
      }
    });
    eachType(t, (fd) => batch(t, fd, { elem_flags: 1, flags: 1 }, -EPERM, 8), BPF_F_WRONLY);
  },

  "a count of 0 succeeds, and touches nothing": (t) => {
    eachType(t, (fd) => {
      batch(t, fd, { count: 0 }, 0, 0);
      batch(t, fd, { count: 0, in_batch: 1, out_batch: 0, keys: 0, values: 0 }, 0, 0);
    });
  },

  "with room for all, all come, and ENOENT says that it was the end": (t) => {
    eachType(t, (fd, type) => {
      const n = isHash(type) ? 3 : 4;
      for (const count of [n + 1, 100, 2 ** 31 - 1]) batch(t, fd, { count }, -ENOENT, n);
      for (let i = 0; i < n; i++) t.equal(`Key ${i}`, t.bytesAt(KEYS + 4 * i, 4), u32(i));
      t.equal("Value 1", t.bytesAt(VALUE + t.slotBytes(type, 4), 4), run(4, 16));
    });
  },

  "an array's cursor is the last key; exactly all of it is 0, and what follows ENOENT": (t) => {
    eachType(t, (fd, type) => {
      if (isHash(type)) return;
      batch(t, fd, { count: 3 }, 0, 3);
      t.equal("The cursor", t.bytesAt(OUT, 4), u32(2));
      batch(t, fd, { count: 3, in_batch: { to: OUT } }, -ENOENT, 1);
      t.equal("The cursor", t.bytesAt(OUT, 4), u32(3));
      t.equal("The key", t.bytesAt(KEYS, 4), u32(3));
      batch(t, fd, { count: 3, in_batch: { to: OUT } }, -ENOENT, 0);
      batch(t, fd, { count: 4 }, 0, 4);
      batch(t, fd, { count: 4, in_batch: { to: OUT }, out_batch: 0 }, -ENOENT, 0);
      // A key out of range is followed by the first.
      for (const key of [4, 1000, 2 ** 32 - 1]) {
        t.command(
          BPF_MAP_LOOKUP_BATCH,
          "batch",
          {
            map_fd: fd,
            in_batch: { to: IN },
            out_batch: { to: OUT },
            keys: { to: KEYS },
            values: { to: VALUE },
            count: 1,
          },
          0,
          { data: [[IN, u32(key)]] },
        );
        t.equal("The key", t.bytesAt(KEYS, 4), u32(0));
      }
    });
  },

  "a hash's cursor beyond all buckets is ENOENT": (t) => {
    eachType(t, (fd, type) => {
      if (!isHash(type)) return;
      const fields = {
        map_fd: fd,
        in_batch: { to: IN },
        out_batch: { to: OUT },
        keys: { to: KEYS },
        values: { to: VALUE },
      };
      for (const cursor of [2 ** 31, 2 ** 32 - 1]) {
        t.command(BPF_MAP_LOOKUP_BATCH, "batch", { ...fields, count: 8 }, -ENOENT, { data: [[IN, u32(cursor)]] });
        t.equal("count", t.bytesAt(bpfAttr.batch.count.off, 4), u32(0));
      }
    });
  },

  "of an empty hash nothing comes": (t) => {
    for (const map_type of [BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH]) {
      const fd = t.create({ map_type, key_size: 4, value_size: 4, max_entries: 4 });
      batch(t, fd, {}, -ENOENT, 0);
      batch(t, fd, { keys: 0, values: 0 }, -ENOENT, 0);
    }
  },

  "pointers that lead nowhere are EFAULT, and count is 0": (t) => {
    eachType(t, (fd, type) => {
      for (const pointer of badPointers) {
        if (pointer !== 0) batch(t, fd, { in_batch: pointer }, -EFAULT, 0);
        batch(t, fd, { keys: pointer }, -EFAULT, 0);
        batch(t, fd, { values: pointer }, -EFAULT, 0);
        // An array writes count first, a hash the cursor.
        batch(t, fd, { out_batch: pointer }, -EFAULT, isHash(type) ? 0 : 4);
      }
      batch(t, fd, { keys: { to: END - 8 } }, -EFAULT, 0);
      batch(t, fd, { values: { to: END - 8 } }, -EFAULT, 0);
    });
  },

  "walks by batches of any size find all": (t) => {
    for (const map_type of types) {
      const fd = t.create({ map_type, key_size: 4, value_size: 4, max_entries: isLru({ type: map_type }) ? 128 : 33 });
      const slots = t.slotBytes(map_type, 4) / 4;
      const elems = Array.from({ length: 33 }, (_, i) => {
        const value = new Uint8Array(slots * 4).fill(i);
        t.update(fd, u32(i), value);
        return `${Buffer.from(u32(i)).toString("hex")}=${Buffer.from(value).toString("hex")}`;
      });
      for (const count of [1, 2, 3, 7, 16, 32, 33, 34, 100]) t.holds(fd, elems, count);
      t.close(fd);
    }
  },
};
