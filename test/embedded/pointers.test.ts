/**
 * User pointers: whatever address attr has, a call answers EFAULT for what is not the user's, and touches nothing.
 */
import { type EmbeddedKernel, HashMap, type UserBuffer, bytes, u32 } from "tsbpf";
import {
  BPF_ATTR_SIZE,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_INFO_SIZE,
  BPF_MAP_LOOKUP_BATCH,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  EFAULT,
  EINVAL,
  ENOENT,
  bpfAttr,
} from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { type Fields, call, mapTypes, open, putAttr } from "./_kernel.js";

const PAGE = 4096;
const memories = { "2 MiB": 2 ** 21, "1 GiB": 2 ** 30, "4 GiB": 2 ** 32 };

/** Addresses where nothing of the user's is, for pointers to at least 3 bytes. Call `done` when they were used. */
function badAddresses(kernel: EmbeddedKernel): { bad: Record<string, bigint>; lower: UserBuffer; done: () => void } {
  const upper = kernel.alloc(PAGE);
  const lower = kernel.alloc(PAGE);
  // User memory grows down: behind `lower` there is nothing once `upper` is freed.
  expect(lower.address).toBe(upper.address - PAGE);
  upper[Symbol.dispose]();
  const top = BigInt(kernel.maxMemory);
  return {
    bad: {
      null: 0n,
      "the null page": 8n,
      "the superblock": 0x1000n,
      tasks: 0x2000n,
      "the fd table": 0x23018n,
      "the page table": 0xa3000n,
      "the kernel zone": 0xc7000n + top / 256n + 0x1000n,
      "the gap": top / 2n,
      "a freed buffer": BigInt(upper.address),
      "over a buffer's end": BigInt(lower.address + PAGE - 2),
      "before a buffer": BigInt(lower.address - 1),
      "the guard page": top - BigInt(PAGE),
      "over the memory's end": top - 2n,
      "the memory's end": top,
      "4 GiB above a buffer": BigInt(lower.address) + 2n ** 32n,
      "4 GiB and a page": 2n ** 32n + 0x1000n,
      "2^63 above a buffer": BigInt(lower.address) + 2n ** 63n,
      "2^64 - 1": 2n ** 64n - 1n,
      "2^64 - 3": 2n ** 64n - 3n,
      "-4095": 2n ** 64n - 4095n,
    },
    lower,
    done: () => lower[Symbol.dispose](),
  };
}

describe.each(Object.entries(memories))("in %s of memory", (_, maxMemory) => {
  describe.each(Object.keys(mapTypes) as (keyof typeof mapTypes)[])("pointers to %s", (type) => {
    it.each(["key", "value", "next_key", "in_batch", "out_batch", "keys", "values"])("%s", async (pointer) => {
      const kernel = await open({ maxMemory, possibleCpus: 2 });
      // Neither key nor value is a word, except those of arrays.
      const options = { key: bytes(5), value: bytes(12), maxEntries: 4 };
      using attr = kernel.alloc(BPF_ATTR_SIZE);
      using map = mapTypes[type].create(kernel, options);
      using key = kernel.alloc(64);
      using value = kernel.alloc(64);
      using cursor = kernel.alloc(64);
      const map_fd = map.fd;
      const elem = { map_fd, key: key.address, value: value.address };
      expect(call(kernel, BPF_MAP_UPDATE_ELEM, "mapElem", elem)).toBe(0);
      value.bytes.fill(0xaa);
      const batch = {
        map_fd,
        in_batch: cursor.address,
        out_batch: cursor.address + 8,
        keys: key.address,
        values: value.address,
        count: 1,
      };
      const { bad, done } = badAddresses(kernel);
      for (const [where, address] of Object.entries(bad)) {
        const tries: [string, number][] = [];
        const callElem = (cmd: number, fields: Fields<"mapElem">): number => {
          putAttr(attr, "mapElem", { map_fd, ...fields });
          return kernel.bpf(cmd, attr);
        };
        if (pointer === "key") {
          tries.push(["lookup", callElem(BPF_MAP_LOOKUP_ELEM, { ...elem, key: address })]);
          tries.push(["update", callElem(BPF_MAP_UPDATE_ELEM, { ...elem, key: address })]);
          if (type.includes("Hash")) tries.push(["delete", callElem(BPF_MAP_DELETE_ELEM, { key: address })]);
          // No key is the way to ask for the first one.
          if (address !== 0n) {
            tries.push(["next", callElem(BPF_MAP_GET_NEXT_KEY, { key: address, next_key: value.address })]);
          }
        } else if (pointer === "value") {
          tries.push(["lookup", callElem(BPF_MAP_LOOKUP_ELEM, { ...elem, value: address })]);
          tries.push(["update", callElem(BPF_MAP_UPDATE_ELEM, { ...elem, value: address })]);
        } else if (pointer === "next_key") {
          tries.push(["next", callElem(BPF_MAP_GET_NEXT_KEY, { next_key: address })]);
        } else {
          // Without a cursor a batch begins at the first elem.
          if (pointer === "in_batch" && address === 0n) continue;
          const start = pointer === "in_batch" ? {} : { in_batch: 0 };
          putAttr(attr, "batch", { ...batch, ...start, [pointer]: address });
          tries.push(["batch", kernel.bpf(BPF_MAP_LOOKUP_BATCH, attr)]);
        }
        for (const [what, ret] of tries) expect(`${what}, ${where}: ${ret}`).toBe(`${what}, ${where}: ${-EFAULT}`);
      }
      done();
      // A key that is not there is ENOENT, wherever its value was to go.
      if (type.includes("Hash") && pointer === "value") {
        key.bytes[0] = 9;
        for (const value of [0, 2 ** 33]) {
          expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { ...elem, value })).toBe(-ENOENT);
        }
      }
      if (type.includes("Hash")) expect([...map.keys()]).toEqual([new Uint8Array(5)]);
    });
  });

  it("attr, info and paths", async () => {
    const kernel = await open({ maxMemory });
    using attr = kernel.alloc(BPF_ATTR_SIZE);
    using map = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 4 });
    const bpf_fd = map.fd;
    const { bad, lower, done } = badAddresses(kernel);
    for (const [where, address] of Object.entries(bad)) {
      const expectFault = (what: string, ret: number): void =>
        expect(`${what}, ${where}: ${ret}`).toBe(`${what}, ${where}: ${-EFAULT}`);
      lower.bytes.fill(0);
      putAttr(attr, "info", { bpf_fd, info_len: BPF_MAP_INFO_SIZE, info: address });
      expectFault("info", kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr));
      // No NUL before the buffer's end.
      lower.bytes.fill(0x2f);
      putAttr(attr, "obj", { pathname: address, bpf_fd });
      expectFault("pin", kernel.bpf(BPF_OBJ_PIN, attr));
      putAttr(attr, "obj", { pathname: address });
      expectFault("get", kernel.bpf(BPF_OBJ_GET, attr));
      if (address >= 2n ** 32n) continue;
      const nowhere = { ...attr, address: Number(address) };
      for (const cmd of [BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_LOOKUP_BATCH, 99]) {
        for (const size of [8, 32, BPF_ATTR_SIZE]) expectFault(`attr of ${size} bytes`, kernel.bpf(cmd, nowhere, size));
      }
    }
    done();
  });

  it("of no bytes any address will do", async () => {
    const kernel = await open({ maxMemory });
    using map = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 4 });
    const { bad, done } = badAddresses(kernel);
    using attr = kernel.alloc(BPF_ATTR_SIZE);
    const view = new DataView(attr.bytes.buffer, attr.bytes.byteOffset);
    for (const address of Object.values(bad)) {
      putAttr(attr, "info", { bpf_fd: map.fd, info_len: 0, info: address });
      expect(kernel.bpf(BPF_OBJ_GET_INFO_BY_FD, attr)).toBe(0);
      expect(view.getUint32(bpfAttr.info.info_len.off, true)).toBe(0);
      const nowhere = { ...attr, address: Number(address & 0xffffffffn) };
      expect(kernel.bpf(BPF_MAP_CREATE, nowhere, 0)).toBe(-EINVAL);
    }
    done();
  });

  it("a buffer at the memory's very end is the user's to its last byte", async () => {
    const kernel = await open({ maxMemory });
    using top = kernel.alloc(PAGE);
    expect(top.address).toBe(kernel.maxMemory - 2 * PAGE);
    using map = HashMap.create(kernel, { key: bytes(5), value: bytes(3), maxEntries: 4 });
    top.bytes.set([1, 2, 3, 4, 5, 6, 7, 8], PAGE - 8);
    const end = top.address + PAGE;
    const fields = { map_fd: map.fd, key: end - 5, value: end - 8 };
    expect(call(kernel, BPF_MAP_UPDATE_ELEM, "mapElem", fields)).toBe(0);
    expect([...map.get(Uint8Array.of(4, 5, 6, 7, 8))!]).toEqual([1, 2, 3]);
    expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { ...fields, value: end - 3 })).toBe(0);
    expect([...top.bytes.subarray(PAGE - 8)]).toEqual([1, 2, 3, 4, 5, 1, 2, 3]);
    expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { ...fields, value: end - 2 })).toBe(-ENOENT);
    expect(call(kernel, BPF_MAP_LOOKUP_ELEM, "mapElem", { ...fields, key: end - 4 })).toBe(-EFAULT);
  });
});

it("a trap of the engine would stay in a call: the map can still be closed", async () => {
  const kernel = await open();
  const map = HashMap.create(kernel, { key: u32, value: u32, maxEntries: 4 });
  const { bad, done } = badAddresses(kernel);
  for (const address of Object.values(bad)) {
    call(kernel, BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd: map.fd, info_len: 0, info: address });
  }
  done();
  map.close();
  expect(kernel.usage()).toEqual({ fds: 0, maps: 0, bytes: 0 });
});
