/**
 * BPF_MAP_TYPE_LPM_TRIE: a key is its prefixlen (host byte order) and data (network byte order).
 */
import {
  BPF_EXIST,
  BPF_F_LOCK,
  BPF_F_NO_PREALLOC,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_NOEXIST,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOSPC,
} from "tsbpf/uapi";
import { elemText } from "./_hash_family.js";
import { type Fd, type Story, type Teller, run, u32, u64 } from "./story.js";

const base = {
  map_type: BPF_MAP_TYPE_LPM_TRIE,
  key_size: 8,
  value_size: 8,
  max_entries: 100,
  map_flags: BPF_F_NO_PREALLOC,
};

/** A key of so many bits. */
function bits(prefixlen: number, ...data: number[]): Uint8Array {
  return Uint8Array.of(...u32(prefixlen), ...data);
}

/** The key of "10.0.0.0/8". */
function net(text: string): Uint8Array {
  const [address, prefixlen] = text.split("/");
  return bits(Number(prefixlen), ...address!.split(".").map(Number));
}

/** Sets prefixes, each to its place in the list. */
function fill(t: Teller, fd: Fd, nets: readonly string[]): void {
  nets.forEach((text, i) => t.update(fd, net(text), u64(i)));
}

function walks(t: Teller, fd: Fd, nets: readonly string[]): void {
  let key: Uint8Array | undefined;
  for (const text of nets) {
    t.next(fd, key, net(text));
    key = net(text);
  }
  t.next(fd, key, -ENOENT);
}

export const lpmTrie: Story = {
  "sizes and flags that are EINVAL": (t) => {
    for (const key_size of [0, 1, 4, 261, 264, 2 ** 32 - 1]) t.refuses(-EINVAL, { ...base, key_size });
    for (const value_size of [0, 4194025, 2 ** 22, 2 ** 31, 2 ** 32 - 1]) t.refuses(-EINVAL, { ...base, value_size });
    t.refuses(-EINVAL, { ...base, max_entries: 0 });
    t.refuses(-EINVAL, { ...base, map_flags: 0 });
    for (const bit of [1, 5, 6, 9, 10, 11, 12, 31])
      t.refuses(-EINVAL, { ...base, map_flags: BPF_F_NO_PREALLOC + 2 ** bit });
    for (const key_size of [5, 6, 260]) t.close(t.create({ ...base, key_size }));
    t.close(t.create({ ...base, max_entries: 2 ** 32 - 1 }));
  },

  "the longest prefix that matches, and is not longer than the key's": (t) => {
    const fd = t.create(base);
    t.lookup(fd, net("10.1.2.3/32"), -ENOENT);
    fill(t, fd, ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "192.168.0.0/16"]);
    t.lookup(fd, net("10.1.2.3/32"), u64(3));
    t.lookup(fd, net("10.1.2.4/32"), u64(2));
    t.lookup(fd, net("10.1.2.3/31"), u64(2));
    t.lookup(fd, net("10.1.2.3/23"), u64(1));
    t.lookup(fd, net("10.1.3.0/32"), u64(1));
    t.lookup(fd, net("10.2.0.0/32"), u64(0));
    t.lookup(fd, net("10.0.0.0/8"), u64(0));
    t.lookup(fd, net("10.0.0.0/7"), -ENOENT);
    t.lookup(fd, net("11.0.0.0/32"), -ENOENT);
    t.lookup(fd, net("0.0.0.0/0"), -ENOENT);
    t.update(fd, net("0.0.0.0/0"), u64(9));
    t.lookup(fd, net("11.0.0.0/32"), u64(9));
    t.lookup(fd, net("255.255.255.255/0"), u64(9));
  },

  "a prefix longer than the data": (t) => {
    const fd = t.create(base);
    t.next(fd, net("1.2.3.4/33"), -ENOENT);
    fill(t, fd, ["0.0.0.0/0", "10.0.0.0/8"]);
    for (const prefixlen of [33, 255, 2 ** 31, 2 ** 32 - 1]) {
      const key = bits(prefixlen, 10, 0, 0, 0);
      t.lookup(fd, key, -ENOENT);
      t.update(fd, key, u64(1), 0, -EINVAL);
      t.delete(fd, key, -EINVAL);
      t.next(fd, key, net("10.0.0.0/8"));
    }
  },

  "flags of an update": (t) => {
    const fd = t.create(base);
    t.update(fd, net("10.0.0.0/8"), u64(1), BPF_EXIST, -ENOENT);
    t.update(fd, net("10.0.0.0/8"), u64(1), BPF_NOEXIST);
    t.update(fd, net("10.0.0.0/8"), u64(2), BPF_NOEXIST, -EEXIST);
    t.lookup(fd, net("10.0.0.0/8"), u64(1));
    t.update(fd, net("10.0.0.0/8"), u64(3), BPF_EXIST);
    t.lookup(fd, net("10.0.0.0/8"), u64(3));
    for (const flags of [3, BPF_F_LOCK, 8]) t.update(fd, net("10.0.0.0/8"), u64(4), flags, -EINVAL);
    t.update(fd, net("11.0.0.0/33"), u64(4), BPF_EXIST, -EINVAL);
    t.lookup(fd, net("10.0.0.0/8"), -EINVAL, BPF_F_LOCK);
  },

  "host bits are kept as given, and overwritten": (t) => {
    const fd = t.create(base);
    t.update(fd, net("10.1.2.3/8"), u64(1));
    t.next(fd, undefined, net("10.1.2.3/8"));
    t.update(fd, net("10.9.9.9/8"), u64(2));
    t.next(fd, undefined, net("10.9.9.9/8"));
    t.next(fd, net("10.0.0.0/8"), -ENOENT);
    t.lookup(fd, net("10.7.7.7/8"), u64(2));
    t.delete(fd, net("10.5.5.5/8"));
    t.next(fd, undefined, -ENOENT);
  },

  "a full trie is ENOSPC": (t) => {
    const fd = t.create({ ...base, max_entries: 3 });
    fill(t, fd, ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"]);
    t.update(fd, net("13.0.0.0/8"), u64(1), 0, -ENOSPC);
    t.update(fd, net("13.0.0.0/8"), u64(1), BPF_NOEXIST, -ENOSPC);
    t.update(fd, net("13.0.0.0/8"), u64(1), BPF_EXIST, -ENOENT);
    // Where a fork is already.
    t.update(fd, net("10.0.0.0/7"), u64(1), 0, -ENOSPC);
    t.update(fd, net("11.0.0.0/8"), u64(7));
    t.update(fd, net("11.0.0.0/8"), u64(7), BPF_NOEXIST, -EEXIST);
    t.delete(fd, net("10.0.0.0/8"));
    t.update(fd, net("10.0.0.0/7"), u64(8));
    walks(t, fd, ["11.0.0.0/8", "10.0.0.0/7", "12.0.0.0/8"]);
  },

  "keys in post-order: more specific ones first": (t) => {
    const fd = t.create(base);
    fill(t, fd, ["0.0.0.0/0", "10.0.0.0/8", "10.128.0.0/9", "10.1.2.0/24", "10.1.3.0/24", "192.0.0.0/2", "10.0.0.0/9"]);
    const order = [
      "10.1.2.0/24",
      "10.1.3.0/24",
      "10.0.0.0/9",
      "10.128.0.0/9",
      "10.0.0.0/8",
      "192.0.0.0/2",
      "0.0.0.0/0",
    ];
    walks(t, fd, order);
    t.delete(fd, net("10.0.0.0/9"));
    walks(t, fd, ["10.1.2.0/24", "10.1.3.0/24", "10.128.0.0/9", "10.0.0.0/8", "192.0.0.0/2", "0.0.0.0/0"]);
    t.delete(fd, net("0.0.0.0/0"));
    walks(t, fd, ["10.1.2.0/24", "10.1.3.0/24", "10.128.0.0/9", "10.0.0.0/8", "192.0.0.0/2"]);
  },

  "what follows a key that is not there": (t) => {
    const fd = t.create(base);
    fill(t, fd, ["10.1.2.0/24", "10.1.3.0/24", "10.0.0.0/8", "192.0.0.0/2"]);
    // Also where the path by its bits leads to one of the same length.
    const beside = ["11.0.0.0/8", "10.200.2.0/24", "64.0.0.0/8", "128.0.0.0/2"];
    for (const absent of [...beside, "10.1.2.0/25", "10.1.0.0/16", "0.0.0.0/0", "10.1.2.0/23", "1.2.3.4/32"])
      t.next(fd, net(absent), net("10.1.2.0/24"));
    t.next(fd, net("10.200.2.0/8"), net("192.0.0.0/2"));
    t.next(fd, net("193.0.0.0/2"), -ENOENT);
  },

  "deleting takes the prefix itself and no other": (t) => {
    const fd = t.create(base);
    t.delete(fd, net("10.0.0.0/8"), -ENOENT);
    const nets = ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16", "11.0.0.0/8"];
    fill(t, fd, nets);
    for (const other of ["10.0.0.0/7", "10.0.0.0/9", "10.0.0.0/14", "10.1.2.0/24", "12.0.0.0/8"])
      t.delete(fd, net(other), -ENOENT);
    for (const [i, text] of nets.entries()) {
      t.delete(fd, net(text));
      t.delete(fd, net(text), -ENOENT);
      for (const [j, rest] of nets.entries()) if (j > i) t.lookup(fd, net(rest), u64(j));
    }
    t.next(fd, undefined, -ENOENT);
  },

  "data of each length": (t) => {
    for (const length of [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 255, 256]) {
      const fd = t.create({ ...base, key_size: 4 + length });
      const data = run(length, 1);
      const flipped = Uint8Array.from(data);
      flipped[length - 1]! ^= 1;
      t.update(fd, bits(8 * length, ...data), u64(1));
      t.update(fd, bits(8 * length - 1, ...data), u64(2));
      t.update(fd, bits(8 * length - 8, ...data), u64(3));
      t.lookup(fd, bits(8 * length, ...data), u64(1));
      t.lookup(fd, bits(8 * length, ...flipped), u64(2));
      flipped[length - 1]! ^= 2;
      t.lookup(fd, bits(8 * length, ...flipped), u64(3));
      flipped[0]! ^= 128;
      t.lookup(fd, bits(8 * length, ...flipped), length === 1 ? u64(3) : -ENOENT);
      t.close(fd);
    }
  },

  "a batch: the cursor is the last key": (t) => {
    const fd = t.create(base);
    fill(t, fd, ["10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"]);
    t.command(BPF_MAP_LOOKUP_BATCH, "batch", { map_fd: fd, count: 0 }, 0);
    const order: [string, number][] = [
      ["10.1.0.0/16", 1],
      ["10.2.0.0/16", 2],
      ["10.0.0.0/8", 0],
    ];
    t.holds(
      fd,
      order.map(([text, i]) => elemText(net(text), u64(i))),
      2,
    );
  },
};
