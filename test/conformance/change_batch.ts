/**
 * BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH and BPF_MAP_LOOKUP_AND_DELETE_BATCH: who has them, checks and their order, counts.
 */
import {
  BPF_F_LOCK,
  BPF_F_RDONLY,
  BPF_F_WRONLY,
  BPF_MAP_DELETE_BATCH,
  BPF_MAP_LOOKUP_AND_DELETE_BATCH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_UPDATE_BATCH,
  E2BIG,
  EBADF,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOTSUPP,
  EPERM,
  bpfAttr,
} from "tsbpf/uapi";
import { END, KEYS, OUT, VALUE } from "../machine/arena.js";
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
const isPerCpu = (type: number): boolean => isPerCpuMap({ type });
const changes = [BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH];
const has = (type: number, cmd: number): boolean => isHash(type) || cmd === BPF_MAP_UPDATE_BATCH;

function eachType(t: Teller, tell: (fd: Fd, type: number) => void, map_flags = 0): void {
  for (const map_type of types) {
    // Not so few that an LRU hash would have to let elems go.
    const max_entries = isLru({ type: map_type }) ? 16 : 4;
    const fd = t.create({ map_type, key_size: 4, value_size: 8, max_entries, map_flags });
    tell(fd, map_type);
    t.close(fd);
  }
}

/** One batch of keys, and the count that came back. */
function batch(
  t: Teller,
  cmd: number,
  fd: Fd | number,
  keys: readonly number[],
  wanted: number,
  count: number,
  fields: Fields = {},
): void {
  const all = { map_fd: fd, out_batch: { to: OUT }, keys: { to: KEYS }, values: { to: VALUE }, count: keys.length };
  const bytes = Uint8Array.from(keys.flatMap((key) => [...u32(key)]));
  t.command(cmd, "batch", { ...all, ...fields }, wanted, {
    data: [
      [KEYS, bytes],
      [VALUE, run(8 * t.possibleCpus * keys.length)],
    ],
  });
  t.equal("count", t.bytesAt(bpfAttr.batch.count.off, 4), u32(count));
}

function fill(t: Teller, fd: Fd, type: number, n: number): void {
  for (let i = 0; i < n; i++) t.update(fd, u32(i), run(isPerCpu(type) ? 8 * t.possibleCpus : 8, 16 * i));
}

export const changeBatch: Story = {
  "a type that has not the command says so before all else, and 524": (t) => {
    for (const cmd of changes) {
      batch(t, cmd, -1, [0], -EBADF, 1);
      batch(t, cmd, 0, [0], -EINVAL, 1);
      eachType(t, (fd, type) => {
        if (has(type, cmd)) return;
        batch(t, cmd, fd, [0], -ENOTSUPP, 1);
        batch(t, cmd, fd, [], -ENOTSUPP, 0);
        batch(t, cmd, fd, [0], -ENOTSUPP, 1, { elem_flags: 1, flags: 1 });
      });
    }
  },

  "refusals leave count as it was": (t) => {
    for (const cmd of changes) {
      eachType(t, (fd, type) => {
        if (!has(type, cmd)) return;
        for (const elem_flags of [1, 2, BPF_F_LOCK, 8, 2n ** 32n]) {
          batch(t, cmd, fd, [0], -EINVAL, 1, { elem_flags });
          batch(t, cmd, fd, [], -EINVAL, 0, { elem_flags });
        }
        batch(t, cmd, fd, [], 0, 0);
        batch(t, cmd, fd, [], 0, 0, { keys: 0, values: 0, out_batch: 0 });
      });
      eachType(t, (fd) => batch(t, cmd, fd, [0], -EPERM, 1, { elem_flags: 1 }), BPF_F_RDONLY);
    }
    eachType(t, (fd) => batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, fd, [0], -EPERM, 1), BPF_F_WRONLY);
  },

  "flags: only LOOKUP_AND_DELETE looks at them": (t) => {
    eachType(t, (fd, type) => {
      batch(t, BPF_MAP_UPDATE_BATCH, fd, [1, 2], 0, 2, { flags: 7 });
      if (!isHash(type)) return;
      batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, fd, [0, 0, 0], -EINVAL, 3, { flags: 1 });
      batch(t, BPF_MAP_DELETE_BATCH, fd, [1, 2], 0, 2, { flags: 7 });
    });
  },

  "an update writes in order, the last of a key's values stays": (t) => {
    eachType(t, (fd, type) => {
      batch(t, BPF_MAP_UPDATE_BATCH, fd, [2, 0, 2], 0, 3);
      const bytes = isPerCpu(type) ? 8 * t.possibleCpus : 8;
      t.lookup(fd, u32(0), run(bytes, 1 + bytes));
      t.lookup(fd, u32(2), run(bytes, 1 + 2 * bytes));
    });
  },

  "what does not fit ends an update: count says how many were before": (t) => {
    eachType(t, (fd, type) => {
      const fits = isLru({ type });
      batch(t, BPF_MAP_UPDATE_BATCH, fd, [0, 1, 2, 3, 4, 5], fits ? 0 : -E2BIG, fits ? 6 : 4);
      if (isHash(type) && !fits) batch(t, BPF_MAP_UPDATE_BATCH, fd, [1, 9], -E2BIG, 1);
      batch(t, BPF_MAP_UPDATE_BATCH, fd, [0, 1], -EFAULT, 0, { keys: 8 });
      batch(t, BPF_MAP_UPDATE_BATCH, fd, [0, 1], -EFAULT, 0, { values: { to: END } });
      batch(t, BPF_MAP_UPDATE_BATCH, fd, [0, 1], -EFAULT, 0, { keys: { to: END - 3 } });
    });
  },

  "a key that is missing ends a deletion": (t) => {
    eachType(t, (fd, type) => {
      if (!isHash(type)) return;
      fill(t, fd, type, 4);
      batch(t, BPF_MAP_DELETE_BATCH, fd, [3, 1, 1, 2], -ENOENT, 2);
      t.lookup(fd, u32(3), -ENOENT);
      t.lookup(fd, u32(2), run(isPerCpu(type) ? 8 * t.possibleCpus : 8, 32));
      batch(t, BPF_MAP_DELETE_BATCH, fd, [0, 2], 0, 2, { values: 0 });
      batch(t, BPF_MAP_DELETE_BATCH, fd, [0], -EFAULT, 0, { keys: 8 });
    });
  },

  "LOOKUP_AND_DELETE delivers all, and leaves nothing": (t) => {
    eachType(t, (fd, type) => {
      if (!isHash(type)) return;
      batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, fd, [0, 0, 0, 0], -ENOENT, 0);
      fill(t, fd, type, 3);
      batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, fd, [9, 9, 9, 9, 9], -ENOENT, 3);
      const bytes = isPerCpu(type) ? 8 * t.possibleCpus : 8;
      const elems = [0, 1, 2].map((i) => [t.bytesAt(KEYS + 4 * i, 4), t.bytesAt(VALUE + bytes * i, bytes)] as const);
      for (const [key, value] of elems) {
        t.equal("The value", value, run(bytes, 16 * key[0]!));
        t.lookup(fd, key, -ENOENT);
      }
      t.holds(fd, []);
      // What the cursor cannot be written for was delivered all the same.
      fill(t, fd, type, 2);
      batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, fd, [9, 9, 9, 9, 9], -EFAULT, 0, { out_batch: 0 });
      t.holds(fd, []);
      batch(t, BPF_MAP_LOOKUP_AND_DELETE_BATCH, fd, [9], -EFAULT, 0, { in_batch: 8 });
    });
  },
};
