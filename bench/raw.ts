/**
 * The call itself, without typed maps: attr, key and value in place, `prepare`d once. On the embedded kernel with all of
 * its checks of attr, fd and pointers.
 */
import { HashMap, type Kernel, u32, u64 } from "tsbpf";
import { BPF_MAP_LOOKUP_ELEM, BPF_MAP_TYPE_HASH, BPF_MAP_UPDATE_ELEM, bpfAttr } from "tsbpf/uapi";
import { KEYS, kept, loadOf, roomFor } from "./keys.js";
import { syscallLoop } from "./linux_c.js";
import type { Ops, Suite } from "./measure.js";
import { openKernel } from "./typed.js";

const ATTR_BYTES = 32;
const KEY_OFF = 32;
const VALUE_OFF = 40;

function rawOps(kernel: Kernel): Ops {
  const { mask, present, hits, values } = loadOf(
    (n) => n,
    (n) => BigInt(n),
  );
  const map = HashMap.create(kernel, { name: "bench", key: u32, value: u64, maxEntries: roomFor(KEYS) });
  for (let i = 0; i < KEYS; i++) map.set(present[i]!, values[i]!);

  const buffer = kernel.alloc(VALUE_OFF + 8);
  const { bytes, address } = buffer;
  const attr = { ...buffer, bytes: bytes.subarray(0, ATTR_BYTES) };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(bpfAttr.mapElem.map_fd.off, map.fd, true);
  view.setBigUint64(bpfAttr.mapElem.key.off, BigInt(address + KEY_OFF), true);
  view.setBigUint64(bpfAttr.mapElem.value.off, BigInt(address + VALUE_OFF), true);
  const lookup = kernel.prepare(BPF_MAP_LOOKUP_ELEM, attr);
  const update = kernel.prepare(BPF_MAP_UPDATE_ELEM, attr);
  return {
    lookup: (from, n) => {
      let sum = 0;
      for (let i = from; i < from + n; i++) {
        view.setUint32(KEY_OFF, hits[i & mask]!, true);
        if (lookup() !== 0) throw new Error("A key that was set is not there");
        sum += view.getUint32(VALUE_OFF, true);
      }
      kept.value = sum;
      return n;
    },
    update: (from, n) => {
      for (let i = from; i < from + n; i++) {
        view.setUint32(KEY_OFF, hits[i & mask]!, true);
        view.setUint32(VALUE_OFF, i, true);
        if (update() !== 0) throw new Error("An update failed");
      }
      return n;
    },
  };
}

export const rawSuite: Suite = {
  name: "raw bpf() on a hash u32 -> u64",
  rows: ["lookup", "update"],
  contenders: ["embedded", "linux", "c"],
  program: (contender) => (contender === "c" ? syscallLoop(BPF_MAP_TYPE_HASH, 4, 8) : undefined),
  open: async (contender) => rawOps(await openKernel(contender)),
};
