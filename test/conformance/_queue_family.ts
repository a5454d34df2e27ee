/**
 * What queues and stacks share: `order` is in which order values come out that were pushed as 0, 1, 2.
 */
import {
  BPF_ANY,
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_NOEXIST,
  E2BIG,
  EFAULT,
  EINVAL,
  ENOENT,
} from "tsbpf/uapi";
import { END } from "../machine/arena.js";
import {
  holdsValuesOfEachSize,
  obeysModes,
  refusesBadValues,
  refusesBatches,
  refusesKeys,
  refusesSizes,
  refusesWalks,
} from "./_keyless_family.js";
import { type Story, run, u32 } from "./story.js";

export function queueStory(map_type: number, newestFirst: boolean): Story {
  const base = { map_type, key_size: 0, value_size: 4, max_entries: 3 };
  const inOrder = (values: number[]): number[] => (newestFirst ? values.toReversed() : values);
  return {
    "sizes and flags that are refused": (t) => refusesSizes(t, base, -EINVAL),

    "map_extra is EINVAL": (t) => t.refuses(-EINVAL, { ...base, map_extra: 1 }),

    "values come out in order": (t) => {
      const fd = t.create(base);
      t.peek(fd, -ENOENT);
      t.pop(fd, -ENOENT);
      for (const value of [0, 1, 2]) t.push(fd, u32(value));
      for (const value of inOrder([0, 1, 2])) {
        t.peek(fd, u32(value));
        t.peek(fd, u32(value));
        t.pop(fd, u32(value));
      }
      t.peek(fd, -ENOENT);
      t.pop(fd, -ENOENT);
    },

    "a full one is E2BIG, and BPF_EXIST lets the oldest go": (t) => {
      const fd = t.create(base);
      for (const value of [0, 1, 2]) t.push(fd, u32(value));
      t.push(fd, u32(3), BPF_ANY, -E2BIG);
      t.push(fd, u32(4), BPF_EXIST);
      t.push(fd, u32(5), BPF_EXIST);
      for (const value of inOrder([2, 4, 5])) t.pop(fd, u32(value));
      t.pop(fd, -ENOENT);
      // While there is room, it pushes nothing out.
      t.push(fd, u32(6), BPF_EXIST);
      t.push(fd, u32(7), BPF_EXIST);
      for (const value of inOrder([6, 7])) t.pop(fd, u32(value));
    },

    "goes round many times": (t) => {
      for (const max_entries of [1, 2, 3, 4, 7]) {
        const fd = t.create({ ...base, max_entries });
        for (let i = 0; i < 20; i++) {
          t.push(fd, u32(i));
          t.peek(fd, u32(i));
          t.pop(fd, u32(i));
        }
        for (let i = 0; i < max_entries; i++) t.push(fd, u32(i));
        for (let i = 0; i < 10; i++) t.push(fd, u32(100 + i), BPF_EXIST);
        t.push(fd, u32(1), 0, -E2BIG);
        const all = [
          ...Array.from({ length: max_entries }, (_, i) => i),
          ...Array.from({ length: 10 }, (_, i) => 100 + i),
        ];
        for (const value of inOrder(all.slice(-max_entries))) t.pop(fd, u32(value));
        t.pop(fd, -ENOENT);
        t.close(fd);
      }
    },

    flags: (t) => {
      const fd = t.create(base);
      for (const flags of [BPF_NOEXIST, 3, BPF_F_LOCK, BPF_F_LOCK | BPF_EXIST, 8, 2n ** 32n]) {
        t.push(fd, u32(1), flags, -EINVAL);
      }
      t.push(fd, u32(1));
      for (const flags of [1, 2, BPF_F_LOCK, 8, 2n ** 32n]) t.pop(fd, -EINVAL, flags);
      t.pop(fd, u32(1));
      for (const flags of [1, BPF_F_LOCK]) t.pop(fd, -EINVAL, flags);
    },

    "a value that cannot be written": (t) => {
      const fd = t.create(base);
      for (const cmd of [BPF_MAP_LOOKUP_ELEM, BPF_MAP_LOOKUP_AND_DELETE_ELEM]) {
        for (const value of [0, { to: END }, { to: END - 3 }]) {
          t.command(cmd, "mapElem", { map_fd: fd, key: 0, value }, -ENOENT);
        }
      }
      t.push(fd, u32(1));
      t.push(fd, u32(2));
      for (const value of [0, { to: END }])
        t.command(BPF_MAP_LOOKUP_ELEM, "mapElem", { map_fd: fd, key: 0, value }, -EFAULT);
      // What was popped and could not be written is gone.
      t.command(BPF_MAP_LOOKUP_AND_DELETE_ELEM, "mapElem", { map_fd: fd, key: 0, value: { to: END } }, -EFAULT);
      t.pop(fd, u32(newestFirst ? 1 : 2));
      t.pop(fd, -ENOENT);
    },

    "a value that cannot be read": (t) => refusesBadValues(t, base),
    "a key": (t) => refusesKeys(t, base),
    "deleting and walking": (t) => refusesWalks(t, base, -EINVAL),
    batches: (t) => refusesBatches(t, base),
    "read-only and write-only fds": (t) => obeysModes(t, base),
    "values of each size": (t) => {
      holdsValuesOfEachSize(t, base);
      for (const value_size of [1, 3, 5, 8, 13, 64, 129, 1000]) {
        const fd = t.create({ ...base, value_size });
        t.push(fd, run(value_size, 7));
        t.pop(fd, run(value_size, 7));
        t.close(fd);
      }
    },
  };
}
