/**
 * What BPF_PROG_* answer, on every kernel: errnos at each step, ids, pins, info, program arrays.
 */
import { ArrayMap, type Kernel, u64 } from "tsbpf";
import { assemble, encodeInsns } from "tsbpf/program";
import {
  BPF_BTF_GET_NEXT_ID,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_OBJ_GET,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_OBJ_PIN,
  BPF_PROG_BIND_MAP,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_GET_NEXT_ID,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SYSCALL,
  BPF_PROG_TYPE_XDP,
  E2BIG,
  EACCES,
  EBADF,
  EFAULT,
  EINVAL,
  ENOENT,
  ENOSPC,
} from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { fillAttr, mapCreate, viewOf } from "../../src/kernels/syscalls.js";
import { bpfAttr, bpfProgInfo } from "../../src/uapi/layouts.js";
import { BPF_ATTR_SIZE } from "../../src/uapi/offsets.js";
import { forEachKernel } from "../kernels.js";

type Fields = Record<string, number | bigint | Uint8Array>;
type Layout = keyof typeof bpfAttr;

/** One system call: what it returns, and attr as it is afterwards. */
function call(kernel: Kernel, cmd: number, layout: Layout, fields: Fields): { ret: number; attr: DataView } {
  using attr = kernel.alloc(BPF_ATTR_SIZE);
  fillAttr(attr, bpfAttr[layout] as never, fields as never);
  const ret = kernel.bpf(cmd, attr);
  return { ret, attr: new DataView(attr.bytes.slice().buffer) };
}

/** Bytes where a kernel can read them, for as long as `use` runs. */
function withBytes<R>(kernel: Kernel, bytes: Uint8Array, use: (address: number) => R): R {
  using buffer = kernel.alloc(Math.max(bytes.length, 1));
  buffer.bytes.set(bytes);
  return use(buffer.address);
}

const GPL = new TextEncoder().encode("GPL\0");

function load(kernel: Kernel, text: string, fields: Fields = {}): number {
  const code = encodeInsns(assemble(text));
  return withBytes(kernel, code, (insns) =>
    withBytes(kernel, GPL, (license) => {
      const all = { prog_type: BPF_PROG_TYPE_XDP, insns, insn_cnt: code.length / 8, license, ...fields };
      return call(kernel, BPF_PROG_LOAD, "progLoad", all).ret;
    }),
  );
}

function loaded(kernel: Kernel, text: string, fields: Fields = {}): number {
  const fd = load(kernel, text, fields);
  expect(fd).toBeGreaterThanOrEqual(3);
  return fd;
}

const RETURN_2 = "r0 = 2\nexit";
const NO_FD = 0x7ffffff0;

forEachKernel((name, open) => {
  describe("BPF_PROG_LOAD", () => {
    it("looks at attr in Linux's order", async () => {
      const kernel = await open();
      expect(load(kernel, RETURN_2, { prog_flags: 0x400 })).toBe(-EINVAL);
      expect(load(kernel, RETURN_2, { insn_cnt: 0 })).toBe(-E2BIG);
      expect(load(kernel, RETURN_2, { insn_cnt: 1_000_001 })).toBe(-E2BIG);
      expect(load(kernel, RETURN_2, { insns: 8 })).toBe(-EFAULT);
      expect(load(kernel, RETURN_2, { license: 8 })).toBe(-EFAULT);
      expect(load(kernel, RETURN_2, { prog_type: 99 })).toBe(-EINVAL);
      expect(load(kernel, RETURN_2, { prog_name: new TextEncoder().encode("a-b") })).toBe(-EINVAL);
      expect(load(kernel, RETURN_2, { prog_name: new TextEncoder().encode("sixteen_letters_") })).toBe(-EINVAL);
      expect(load(kernel, RETURN_2, { attach_prog_fd: NO_FD })).toBe(-EINVAL);
      expect(load(kernel, RETURN_2, { log_size: 100 })).toBe(-EINVAL);
      expect(load(kernel, RETURN_2, { log_level: 16 })).toBe(-EINVAL);
      expect(
        load(kernel, RETURN_2, { prog_type: BPF_PROG_TYPE_SYSCALL, expected_attach_type: 1, prog_flags: 16 }),
      ).toBe(-EINVAL);
      kernel.close(loaded(kernel, RETURN_2));
    });

    it.each([
      ["a register that nothing has written", "r0 = r3\nexit", EACCES],
      ["r0 not written at the end", "exit", EACCES],
      ["an unreachable instruction", "r0 = 0\nexit\nr0 = 1\nexit", EINVAL],
      ["a jump behind the end", "r0 = 0\ngoto +5\nexit", EINVAL],
      ["a jump before the start", "r0 = 0\ngoto -5\nexit", EINVAL],
      ["a jump into an lddw", "r0 = 0\nif r0 == 0 goto +1\nr0 = 1 ll\nexit", EINVAL],
      ["no end", "r0 = 0\nr0 = 1", EINVAL],
      ["a division by zero", "r0 = 1\nr0 /= 0\nexit", EINVAL],
      ["a shift by 64", "r0 = 1\nr0 <<= 64\nexit", EINVAL],
      ["a write to r10", "r10 = 1\nr0 = 0\nexit", EACCES],
      ["a frame's byte 513", "r0 = 0\n*(u8 *)(r10 - 513) = 1\nexit", EACCES],
      ["what lies above the frame", "r0 = 0\n*(u8 *)(r10 + 0) = 1\nexit", EACCES],
      ["a word across the frame's end", "r0 = 0\n*(u64 *)(r10 - 4) = 1\nexit", EACCES],
      ["a helper that there is not", "call 99999\nexit", EINVAL],
      ["a call to nowhere", "call pc+100\nexit", EINVAL],
      ["a map's fd that is not open", `r1 = map[fd:${NO_FD}]\nr0 = 0\nexit`, EBADF],
    ])("refuses %s", async (_what, text, errno) => {
      expect(load(await open(), text)).toBe(-errno);
    });

    it("refuses a value of a map that has none to be named", async () => {
      const kernel = await open();
      const fd = mapCreate(kernel, { mapType: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 8, maxEntries: 1 });
      kernel.close(loaded(kernel, `r1 = map[fd:${fd}][0]+7\nr0 = 0\nexit`));
      expect(load(kernel, `r1 = map[fd:${fd}][0]+8\nr0 = 0\nexit`)).toBe(-EINVAL);
      kernel.close(fd);
    });

    it("says in its log what is wrong, and how long that is", async () => {
      const kernel = await open();
      using log = kernel.alloc(4096);
      const fields = { log_buf: log.address, log_size: 4096, log_level: 1 };
      expect(load(kernel, "r0 = r3\nexit", fields)).toBe(-EACCES);
      expect(new TextDecoder().decode(log.bytes.slice(0, log.bytes.indexOf(0)))).toContain("R3 !read_ok");
      expect(load(kernel, "r0 = r3\nexit", { ...fields, log_size: 4 })).toBe(-ENOSPC);
      expect(log.bytes[3]).toBe(0);
    });
  });

  describe("BPF_PROG_TEST_RUN", () => {
    const packet = Uint8Array.from({ length: 64 }, (_x, i) => i);

    function run(kernel: Kernel, fd: number, fields: Fields): { ret: number; attr: DataView } {
      return call(kernel, BPF_PROG_TEST_RUN, "test", { prog_fd: fd, ...fields });
    }

    it("looks at attr in Linux's order", async () => {
      const kernel = await open();
      const fd = loaded(kernel, RETURN_2);
      withBytes(kernel, packet, (data_in) => {
        expect(run(kernel, NO_FD, { data_in, data_size_in: 64 }).ret).toBe(-EBADF);
        expect(run(kernel, fd, { data_in, data_size_in: 64, ctx_size_in: 8 }).ret).toBe(-EINVAL);
        expect(run(kernel, fd, { data_in, data_size_in: 64, ctx_in: data_in }).ret).toBe(-EINVAL);
        expect(run(kernel, fd, { data_in, data_size_in: 64, ctx_size_out: 8 }).ret).toBe(-EINVAL);
        expect(run(kernel, fd, { data_in, data_size_in: 64, batch_size: 1 }).ret).toBe(-EINVAL);
        expect(run(kernel, fd, { data_in, data_size_in: 13 }).ret).toBe(-EINVAL);
        expect(run(kernel, fd, {}).ret).toBe(-EINVAL);
        expect(run(kernel, fd, { data_in: 8, data_size_in: 64 }).ret).toBe(-EFAULT);
        expect(run(kernel, fd, { data_in, data_size_in: 14 }).ret).toBe(0);
      });
      const map = mapCreate(kernel, { mapType: BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: 8, maxEntries: 1 });
      expect(run(kernel, map, {}).ret).toBe(-EINVAL);
      kernel.close(map);
      kernel.close(fd);
    });

    it("gives back the packet, what was returned, and how large it is", async () => {
      const kernel = await open();
      const fd = loaded(kernel, RETURN_2);
      using out = kernel.alloc(64);
      withBytes(kernel, packet, (data_in) => {
        const whole = run(kernel, fd, {
          data_in,
          data_size_in: 64,
          data_out: out.address,
          data_size_out: 64,
          repeat: 3,
        });
        expect(whole.ret).toBe(0);
        expect(whole.attr.getUint32(bpfAttr.test.retval.off, true)).toBe(2);
        expect(whole.attr.getUint32(bpfAttr.test.data_size_out.off, true)).toBe(64);
        expect(out.bytes).toEqual(packet);
        out.bytes.fill(0);
        const part = run(kernel, fd, { data_in, data_size_in: 64, data_out: out.address, data_size_out: 16 });
        expect(part.ret).toBe(-ENOSPC);
        expect(part.attr.getUint32(bpfAttr.test.data_size_out.off, true)).toBe(64);
        expect(out.bytes.subarray(0, 17)).toEqual(Uint8Array.of(...packet.subarray(0, 16), 0));
      });
      kernel.close(fd);
    });

    it.each([
      ["xdp", BPF_PROG_TYPE_XDP],
      ["tc", BPF_PROG_TYPE_SCHED_CLS],
      ["socket_filter", BPF_PROG_TYPE_SOCKET_FILTER],
    ])("%s: the packet comes out as it went in, or as the type has it", async (_what, prog_type) => {
      const kernel = await open();
      const fd = loaded(kernel, "r0 = *(u32 *)(r1 + 0)\nr0 = 7\nexit", { prog_type });
      using out = kernel.alloc(64);
      withBytes(kernel, packet, (data_in) => {
        expect(run(kernel, fd, { data_in, data_size_in: 64, data_out: out.address, data_size_out: 64 }).ret).toBe(0);
      });
      const isL2 = prog_type !== BPF_PROG_TYPE_SOCKET_FILTER;
      expect(out.bytes).toEqual(isL2 ? packet : Uint8Array.of(...Array<number>(14).fill(0), ...packet.subarray(14)));
      kernel.close(fd);
    });

    it.each([
      ["length", 0, 64],
      ["protocol", 16, 0x0d0c],
      ["ifindex", 40, 1],
      ["ingress_ifindex", 36, 0],
      ["packet type", 4, 3],
      ["wire_len", 160, 0],
    ])("tc: an skb's %s", async (_what, off, wanted) => {
      const kernel = await open();
      const fd = loaded(kernel, `r0 = *(u32 *)(r1 + ${off})\nexit`, { prog_type: BPF_PROG_TYPE_SCHED_CLS });
      withBytes(kernel, packet, (data_in) => {
        const { ret, attr } = run(kernel, fd, { data_in, data_size_in: 64 });
        expect([ret, attr.getUint32(bpfAttr.test.retval.off, true)]).toEqual([0, wanted]);
      });
      kernel.close(fd);
    });

    it("tc: a context goes in and out", async () => {
      const kernel = await open();
      const text = "r2 = *(u32 *)(r1 + 8)\nr2 += 1\n*(u32 *)(r1 + 8) = r2\nr0 = 0\nexit";
      const fd = loaded(kernel, text, { prog_type: BPF_PROG_TYPE_SCHED_CLS });
      const context = new Uint8Array(192);
      context[8] = 41;
      using out = kernel.alloc(192);
      const ctx_out = { ctx_out: out.address, ctx_size_out: 192 };
      withBytes(kernel, packet, (data_in) =>
        withBytes(kernel, context, (ctx_in) => {
          const fields = { data_in, data_size_in: 64, ctx_in, ...ctx_out };
          expect(run(kernel, fd, { ...fields, ctx_size_in: 192 }).ret).toBe(0);
          expect(out.bytes[8]).toBe(42);
          expect(run(kernel, fd, { ...fields, ctx_size_in: 12 }).ret).toBe(0);
        }),
      );
      context[0] = 1;
      withBytes(kernel, packet, (data_in) =>
        withBytes(kernel, context, (ctx_in) => {
          expect(run(kernel, fd, { data_in, data_size_in: 64, ctx_in, ctx_size_in: 192 }).ret).toBe(-EINVAL);
        }),
      );
      kernel.close(fd);
    });

    it("xdp: metadata stands before the packet", async () => {
      const kernel = await open();
      const text = "r0 = *(u32 *)(r1 + 0)\nr2 = *(u32 *)(r1 + 8)\nr0 -= r2\nexit";
      const fd = loaded(kernel, text);
      const md = (meta: number, end: number): Uint8Array =>
        new Uint8Array(Uint32Array.of(meta, end, 0, 0, 0, 0).buffer);
      for (const [meta, end, ret] of [
        [4, 64, 0],
        [0, 64, 0],
        [3, 64, -EINVAL],
        [8, 63, 0],
        [8, 65, -EINVAL],
        [68, 64, -EINVAL],
      ] as const) {
        withBytes(kernel, packet, (data_in) =>
          withBytes(kernel, md(meta, end), (ctx_in) => {
            const result = run(kernel, fd, { data_in, data_size_in: 64, ctx_in, ctx_size_in: 24 });
            expect([meta, end, result.ret]).toEqual([meta, end, ret]);
            if (ret === 0) expect(result.attr.getUint32(bpfAttr.test.retval.off, true)).toBe(meta);
          }),
        );
      }
      kernel.close(fd);
    });

    it("raw_tracepoint: a context goes in, and nothing else", async () => {
      const kernel = await open();
      const fd = loaded(kernel, "r0 = *(u64 *)(r1 + 8)\nexit", { prog_type: BPF_PROG_TYPE_RAW_TRACEPOINT });
      withBytes(kernel, new Uint8Array(BigUint64Array.of(5n, 6n).buffer), (ctx_in) => {
        const { ret, attr } = run(kernel, fd, { ctx_in, ctx_size_in: 16 });
        expect([ret, attr.getUint32(bpfAttr.test.retval.off, true)]).toEqual([0, 6]);
        expect(run(kernel, fd, { ctx_in, ctx_size_in: 16, repeat: 1 }).ret).toBe(-EINVAL);
        expect(run(kernel, fd, { ctx_in, ctx_size_in: 104 }).ret).toBe(-EINVAL);
      });
      kernel.close(fd);
    });

    it("syscall: the context is written in place", async () => {
      const kernel = await open();
      const text = "r2 = *(u64 *)(r1 + 0)\nr2 += 1\n*(u64 *)(r1 + 0) = r2\nr0 = 9\nexit";
      const fd = loaded(kernel, text, { prog_type: BPF_PROG_TYPE_SYSCALL, prog_flags: 16 });
      using context = kernel.alloc(8);
      context.bytes[0] = 7;
      const { ret, attr } = run(kernel, fd, { ctx_in: context.address, ctx_size_in: 8 });
      expect([ret, attr.getUint32(bpfAttr.test.retval.off, true), context.bytes[0]]).toEqual([0, 9, 8]);
      expect(run(kernel, fd, { ctx_in: context.address, ctx_size_in: 8, repeat: 1 }).ret).toBe(-EINVAL);
      kernel.close(fd);
    });
  });

  describe("ids, names, and what is known", () => {
    it("a program is found by its id for as long as something holds it", async () => {
      const kernel = await open();
      const fd = loaded(kernel, RETURN_2, { prog_name: new TextEncoder().encode("two") });
      using info = kernel.alloc(256);
      const asked = { info_len: 232, info: info.address };
      expect(call(kernel, BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd: fd, ...asked }).ret).toBe(0);
      const view = viewOf(info);
      const id = view.getUint32(bpfProgInfo.id.off, true);
      expect(view.getUint32(bpfProgInfo.type.off, true)).toBe(BPF_PROG_TYPE_XDP);
      expect(new TextDecoder().decode(info.bytes.slice(bpfProgInfo.name.off, bpfProgInfo.name.off + 3))).toBe("two");
      // r0 = 2; exit, as every kernel has hashed it.
      const tag = view.getBigUint64(bpfProgInfo.tag.off, true);
      const again = call(kernel, BPF_PROG_GET_FD_BY_ID, "getId", { start_id: id }).ret;
      expect(again).toBeGreaterThan(fd);
      expect(call(kernel, BPF_PROG_GET_NEXT_ID, "getId", { start_id: id - 1 }).attr.getUint32(4, true)).toBe(id);
      kernel.close(fd);
      info.bytes.fill(0);
      expect(call(kernel, BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd: again, ...asked }).ret).toBe(0);
      expect(viewOf(info).getBigUint64(bpfProgInfo.tag.off, true)).toBe(tag);
      kernel.close(again);
      await expect.poll(() => call(kernel, BPF_PROG_GET_FD_BY_ID, "getId", { start_id: id }).ret).toBe(-ENOENT);
      expect(call(kernel, BPF_BTF_GET_NEXT_ID, "getId", { start_id: 2 ** 31 - 1 }).ret).toBe(-EINVAL);
    });

    it("a program's maps stay with it, and their ids are told", async () => {
      const kernel = await open();
      const map = ArrayMap.create(kernel, { name: "held", value: u64, maxEntries: 2 });
      const other = ArrayMap.create(kernel, { name: "bound", value: u64, maxEntries: 2 });
      const fd = loaded(kernel, `r1 = map[fd:${map.fd}]\nr0 = 0\nexit`);
      const bind = (map_fd: number, flags = 0): number =>
        call(kernel, BPF_PROG_BIND_MAP, "progBindMap", { prog_fd: fd, map_fd, flags }).ret;
      expect(bind(other.fd, 1)).toBe(-EINVAL);
      expect(bind(NO_FD)).toBe(-EBADF);
      expect(bind(fd)).toBe(-EINVAL);
      expect(bind(other.fd)).toBe(0);
      expect(bind(other.fd)).toBe(0);
      const ids = [map.id, other.id];
      map.close();
      other.close();
      using info = kernel.alloc(256);
      using list = kernel.alloc(64);
      const view = viewOf(info);
      view.setUint32(bpfProgInfo.nr_map_ids.off, 16, true);
      view.setBigUint64(bpfProgInfo.map_ids.off, BigInt(list.address), true);
      expect(call(kernel, BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd: fd, info_len: 232, info: info.address }).ret).toBe(
        0,
      );
      expect(view.getUint32(bpfProgInfo.nr_map_ids.off, true)).toBe(2);
      expect([viewOf(list).getUint32(0, true), viewOf(list).getUint32(4, true)]).toEqual(ids);
      kernel.close(fd);
    });

    // On Linux it takes a bpffs of its own: object.test.ts.
    if (name.startsWith("embedded"))
      it("a name holds a program", async () => {
        const kernel = await open();
        const fd = loaded(kernel, RETURN_2);
        const path = new TextEncoder().encode("/sys/fs/bpf/two\0");
        withBytes(kernel, path, (pathname) => {
          expect(call(kernel, BPF_OBJ_PIN, "obj", { pathname, bpf_fd: fd }).ret).toBe(0);
          kernel.close(fd);
          const again = call(kernel, BPF_OBJ_GET, "obj", { pathname }).ret;
          expect(again).toBeGreaterThanOrEqual(3);
          kernel.close(again);
        });
        expect(kernel.unlink("/sys/fs/bpf/two")).toBe(0);
      });
  });

  describe("program arrays", () => {
    it("hold programs of one type, and give their ids", async () => {
      const kernel = await open();
      const base = { mapType: BPF_MAP_TYPE_PROG_ARRAY, keySize: 4, valueSize: 4, maxEntries: 2 };
      const array = mapCreate(kernel, base);
      const xdp = loaded(kernel, RETURN_2);
      const filter = loaded(kernel, RETURN_2, { prog_type: BPF_PROG_TYPE_SOCKET_FILTER });
      const set = (index: number, fd: number): number =>
        withBytes(
          kernel,
          new Uint8Array(Uint32Array.of(index, fd).buffer),
          (key) => call(kernel, 2, "mapElem", { map_fd: array, key, value: key + 4 }).ret,
        );
      expect(set(0, xdp)).toBe(0);
      expect(set(1, filter)).toBe(-EINVAL);
      expect(set(2, xdp)).toBe(-E2BIG);
      expect(set(1, array)).toBe(-EINVAL);
      using out = kernel.alloc(8);
      expect(call(kernel, 1, "mapElem", { map_fd: array, key: out.address, value: out.address + 4 }).ret).toBe(0);
      using info = kernel.alloc(8);
      expect(call(kernel, BPF_OBJ_GET_INFO_BY_FD, "info", { bpf_fd: xdp, info_len: 8, info: info.address }).ret).toBe(
        0,
      );
      expect(viewOf(out).getUint32(4, true)).toBe(viewOf(info).getUint32(4, true));
      expect(call(kernel, 3, "mapElem", { map_fd: array, key: out.address }).ret).toBe(0);
      expect(call(kernel, 3, "mapElem", { map_fd: array, key: out.address }).ret).toBe(-ENOENT);
      for (const fd of [array, xdp, filter]) kernel.close(fd);
    });

    it("a tail call goes over, and an empty place does not", async () => {
      const kernel = await open();
      const array = mapCreate(kernel, { mapType: BPF_MAP_TYPE_PROG_ARRAY, keySize: 4, valueSize: 4, maxEntries: 2 });
      const target = loaded(kernel, "r0 = 77\nexit");
      const caller = loaded(kernel, `r6 = r1\nr2 = map[fd:${array}]\nr3 = 1\ncall 12\nr0 = 5\nexit`);
      const packet = new Uint8Array(64);
      const returned = (): number =>
        withBytes(kernel, packet, (data_in) => {
          const { ret, attr } = call(kernel, BPF_PROG_TEST_RUN, "test", { prog_fd: caller, data_in, data_size_in: 64 });
          expect(ret).toBe(0);
          return attr.getUint32(bpfAttr.test.retval.off, true);
        });
      expect(returned()).toBe(5);
      withBytes(kernel, new Uint8Array(Uint32Array.of(1, target).buffer), (key) => {
        expect(call(kernel, 2, "mapElem", { map_fd: array, key, value: key + 4 }).ret).toBe(0);
      });
      expect(returned()).toBe(77);
      for (const fd of [array, target, caller]) kernel.close(fd);
    });
  });
});
