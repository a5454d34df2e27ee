/**
 * BTF with random bits and bytes changed, to the embedded and the Linux kernel at once: both take it or refuse it with the same errno; what
 * they have taken they give back alike, and take for a map's keys and values or do not.
 */
import { EmbeddedKernel, type Kernel, type UserBuffer } from "tsbpf";
import { BtfBuilder } from "tsbpf/btf";
import { LinuxKernel } from "tsbpf/linux";
import {
  BPF_BTF_LOAD,
  BPF_MAP_CREATE,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_QUEUE,
  BPF_OBJ_GET_INFO_BY_FD,
  bpfAttr,
  bpfBtfInfo,
} from "tsbpf/uapi";
import { expect, it } from "vitest";
import { fillAttr, viewOf } from "../../src/kernels/syscalls.js";
import { describeLinux } from "../kernels.js";
import { Random } from "./random.js";

const LOADS = process.env["CI"] === undefined ? 10_000 : 100_000;
const seed = Number(process.env["TEST_SEED"] ?? Date.now() % 2 ** 32);

/** All kinds of types that a map's keys and values are made of, and some that they are not. */
function typesOf(withField: string): Uint8Array {
  const builder = new BtfBuilder();
  const word = builder.int("u32", 4);
  const long = builder.int("u64", 8);
  const array = builder.array(word, 4, word);
  const pointer = builder.ptr(word);
  const name = builder.typedef("T", long);
  builder.float("f", 8);
  builder.enum("E", { A: 1, B: 2 });
  builder.union("u", 16, [
    { name: "a", type: array, bitsOffset: 0 },
    { name: "p", type: pointer, bitsOffset: 0 },
    { name: "t", type: name, bitsOffset: 0 },
  ]);
  const isWide = withField !== "bpf_spin_lock";
  const field = builder.struct(withField, isWide ? 16 : 4, [{ name: "val", type: word, bitsOffset: 0 }]);
  builder.struct("value", isWide ? 24 : 16, [
    { name: "field", type: field, bitsOffset: 0 },
    { name: "n", type: isWide ? long : word, bitsOffset: isWide ? 128 : 32 },
    ...(isWide ? [] : [{ name: "x", type: long, bitsOffset: 64 }]),
  ]);
  builder.struct("prefix", 8, [
    { name: "length", type: word, bitsOffset: 0 },
    { name: "data", type: word, bitsOffset: 32 },
  ]);
  const proto = builder.add({ kind: "FUNC_PROTO", name: "", retType: word, params: [{ name: "a", type: word }] });
  builder.add({ kind: "FUNC", name: "fn", type: proto, linkage: 1 });
  return builder.bytes();
}

const TYPES = 13;
const mapTypes = [
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_QUEUE,
] as const;

interface Side {
  readonly kernel: Kernel;
  readonly bytes: UserBuffer;
  readonly attr: UserBuffer;
  readonly info: UserBuffer;
}

function sideOf(kernel: Kernel): Side {
  return { kernel, bytes: kernel.alloc(4096), attr: kernel.alloc(168), info: kernel.alloc(4096) };
}

/** What a kernel answers, step by step. */
function answers({ kernel, bytes, attr, info }: Side, btf: Uint8Array, size: number, map: MapTry): unknown[] {
  bytes.bytes.fill(0);
  bytes.bytes.set(btf);
  fillAttr(attr, bpfAttr.btfLoad, { btf: bytes.address, btf_size: size });
  const fd = kernel.bpf(BPF_BTF_LOAD, attr);
  if (fd < 0) return [fd];
  info.bytes.fill(0);
  const view = viewOf(info);
  view.setBigUint64(bpfBtfInfo.btf.off, BigInt(info.address + 64), true);
  view.setUint32(bpfBtfInfo.btf_size.off, 2048, true);
  fillAttr(attr, bpfAttr.info, { bpf_fd: fd, info_len: 32, info: info.address });
  const told = kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr);
  const { keyId, valueId, ...sizes } = map;
  fillAttr(attr, bpfAttr.mapCreate, {
    ...sizes,
    max_entries: 4,
    map_flags: map.map_type === BPF_MAP_TYPE_LPM_TRIE ? 1 : 0,
    btf_fd: fd,
    btf_key_type_id: keyId,
    btf_value_type_id: valueId,
  });
  const created = kernel.bpf(BPF_MAP_CREATE, attr);
  if (created >= 0) kernel.close(created);
  kernel.close(fd);
  const copy = Buffer.from(info.bytes.subarray(64, 64 + 2048)).toString("hex");
  return [0, told, view.getUint32(bpfBtfInfo.btf_size.off, true), copy, Math.min(created, 0)];
}

interface MapTry {
  readonly map_type: number;
  readonly key_size: number;
  readonly value_size: number;
  readonly keyId: number;
  readonly valueId: number;
}

describeLinux("BTF, to the embedded kernel and Linux", () => {
  it(`${LOADS} loads have the same answers`, { timeout: 600_000 }, async () => {
    console.log(`TEST_SEED=${seed}`);
    using embedded = await EmbeddedKernel.create();
    using linux = LinuxKernel.open();
    const sides = [sideOf(embedded), sideOf(linux)];
    const random = new Random(seed);
    const all = ["bpf_spin_lock", "bpf_timer", "bpf_other"].map((field) => typesOf(field));
    let taken = 0;
    let mapped = 0;
    for (let n = 0; n < LOADS; n++) {
      const btf = random.pick(all).slice();
      for (let changes = random.below(4); changes > 0; changes--) {
        const at = random.percent(20) ? random.below(24) : random.below(btf.length);
        btf[at] = random.percent(50) ? btf[at]! ^ (1 << random.below(8)) : random.u32();
      }
      const size = random.percent(5) ? random.below(btf.length + 8) : btf.length;
      const map = {
        map_type: random.pick(mapTypes),
        key_size: random.pick([0, 4, 4, 8]),
        value_size: random.pick([4, 8, 16, 16, 24]),
        keyId: random.below(TYPES),
        valueId: random.below(TYPES + 2),
      };
      const [ours, theirs] = sides.map((side) => answers(side, btf, size, map));
      expect(ours, `TEST_SEED=${seed}, load ${n}`).toEqual(theirs);
      if (theirs![0] === 0) taken++;
      if (theirs![4] === 0) mapped++;
    }
    // It was no refusal of everything.
    expect(taken).toBeGreaterThan(LOADS / 20);
    expect(mapped).toBeGreaterThan(LOADS / 2000);
    expect(embedded.check()).toEqual([]);
  });
});
