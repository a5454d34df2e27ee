/**
 * Maps of devices with programs in them, on both kernels; and what the embedded kernel has for devices.
 */
import { EmbeddedKernel, GenericMap, type Kernel } from "tsbpf";
import { LinuxKernel } from "tsbpf/linux";
import { Program, type ProgramAttr, ProgramFaultError } from "tsbpf/program";
import {
  BPF_F_XDP_HAS_FRAGS,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_XDP,
  BPF_XDP_CPUMAP,
  BPF_XDP_DEVMAP,
} from "tsbpf/uapi";
import { describe, expect, it } from "vitest";
import { assemble } from "../../src/insn/asm.js";
import { whyNoLinux } from "../kernels.js";
import { watchLeaks } from "../leaks.js";
import { thrownBy } from "../maps/_ways.js";

const kernels: readonly (readonly [name: string, open: () => Promise<Kernel>])[] = [
  ["compiled", () => EmbeddedKernel.create()],
  ["interpreted", () => EmbeddedKernel.create({ compile: false })],
  ...(whyNoLinux === undefined ? [["Linux", async () => LinuxKernel.open()] as const] : []),
];

const words = (...values: number[]): Uint8Array => new Uint8Array(Uint32Array.from(values).buffer);
const packet = new Uint8Array(64);

function load(kernel: Kernel, text: string, attr: Partial<ProgramAttr> = {}): Program {
  return Program.load(kernel, { name: "p", type: BPF_PROG_TYPE_XDP, license: "MIT", insns: assemble(text), ...attr });
}

const ofDevmap = (kernel: Kernel): Program => load(kernel, "r0 = 2\nexit", { expectedAttachType: BPF_XDP_DEVMAP });

/** Whether there is a program of this id. */
function hasProgram(kernel: Kernel, id: number): boolean {
  try {
    Program.fromId(kernel, id).close();
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: "ENOENT" });
    return false;
  }
}

function createMap(kernel: Kernel, type: string, valueSize = 8): GenericMap {
  return GenericMap.create(kernel, { name: "devices", type, keySize: 4, valueSize, maxEntries: 4 });
}

describe.each(kernels)("%s", (_, open) => {
  describe.each(["devmap", "devmap_hash"])("%s", (type) => {
    it("takes xdp programs that were loaded for it; and gives their ids", async () => {
      using kernel = await open();
      const check = watchLeaks(kernel);
      {
        using map = createMap(kernel, type);
        using program = ofDevmap(kernel);
        map.set(words(1), words(1, program.fd));
        expect(map.get(words(1))).toEqual(words(1, program.id));
        using plain = load(kernel, "r0 = 2\nexit");
        using tc = load(kernel, "r0 = 2\nexit", { type: BPF_PROG_TYPE_SCHED_CLS });
        using ofCpus = load(kernel, "r0 = 2\nexit", { expectedAttachType: BPF_XDP_CPUMAP });
        for (const { fd } of [plain, tc, ofCpus, map]) {
          expect(thrownBy(() => map.set(words(1), words(1, fd)))).toMatchObject({ code: "EINVAL" });
          expect(thrownBy(() => map.set(words(2), words(1, fd)))).toMatchObject({ code: "EINVAL" });
        }
        expect(thrownBy(() => map.set(words(1), words(0, program.fd)))).toMatchObject({ code: "EINVAL" });
        expect(map.get(words(1))).toEqual(words(1, program.id));
        expect(map.get(words(2))).toBeUndefined();
      }
      check();
    });

    it("all of its programs take fragments, or none does: as the first that it was given", async () => {
      using kernel = await open();
      using plain = ofDevmap(kernel);
      using withFragments = load(kernel, "r0 = 2\nexit", {
        expectedAttachType: BPF_XDP_DEVMAP,
        progFlags: BPF_F_XDP_HAS_FRAGS,
      });
      for (const [first, other] of [
        [plain, withFragments],
        [withFragments, plain],
      ] as const) {
        using map = createMap(kernel, type);
        map.set(words(1), words(1, 0));
        // One that does not get in decides nothing.
        expect(thrownBy(() => map.set(words(1), words(2 ** 31, other.fd)))).toMatchObject({ code: "EINVAL" });
        map.set(words(1), words(1, first.fd));
        map.delete(words(1));
        expect(thrownBy(() => map.set(words(1), words(1, other.fd)))).toMatchObject({ code: "EINVAL" });
        map.set(words(1), words(1, first.fd));
      }
    });

    it("holds its programs, and lets go of them", async () => {
      using kernel = await open();
      const check = watchLeaks(kernel);
      const isThere = (id: number): boolean => hasProgram(kernel, id);
      const gone = async (id: number): Promise<void> => {
        // Linux frees what programs may still see a while later.
        for (let i = 0; i < 200 && isThere(id); i++) await new Promise((resolve) => setTimeout(resolve, 10));
        expect(isThere(id)).toBe(false);
      };
      {
        const map = createMap(kernel, type);
        const programs = Array.from({ length: 4 }, () => ofDevmap(kernel));
        const ids = programs.map(({ id }) => id);
        programs.forEach(({ fd }, i) => map.set(words(i), words(1, fd)));
        for (const program of programs) program.close();
        expect(ids.map(isThere)).toEqual([true, true, true, true]);
        map.set(words(0), words(1, 0));
        await gone(ids[0]!);
        map.delete(words(1));
        await gone(ids[1]!);
        // The same program twice.
        const again = Program.fromId(kernel, ids[2]!);
        map.set(words(1), words(1, again.fd));
        again.close();
        map.delete(words(2));
        expect(isThere(ids[2]!)).toBe(true);
        map.close();
        await gone(ids[2]!);
        await gone(ids[3]!);
      }
      check();
    });

    it("programs read it", async () => {
      using kernel = await open();
      using map = createMap(kernel, type);
      using program = ofDevmap(kernel);
      map.set(words(1), words(1, program.fd));
      const look = (key: number): number => {
        const text = `*(u32 *)(r10 - 4) = ${key}\nr2 = r10\nr2 += -4\nr1 = map[fd:${map.fd}]\ncall 1\nif r0 == 0 goto out\nr0 = *(u32 *)(r0 + 4)\nout: exit`;
        using reader = load(kernel, text);
        return reader.run({ data: packet }).retval;
      };
      expect([look(0), look(1), look(77)]).toEqual([0, program.id, 0]);
    });

    it("and do not write to it", async () => {
      using kernel = await open();
      using map = createMap(kernel, type);
      map.set(words(1), words(1, 0));
      const key = `*(u32 *)(r10 - 4) = 1\n*(u64 *)(r10 - 16) = 1\nr2 = r10\nr2 += -4\nr3 = r10\nr3 += -16\nr4 = 0\nr1 = map[fd:${map.fd}]`;
      for (const act of ["call 2", "call 3", "call 1\nif r0 == 0 goto out\n*(u32 *)(r0 + 0) = 7"]) {
        const failed = thrownBy(() => {
          using writer = load(kernel, `${key}\n${act}\nout: r0 = 0\nexit`);
          writer.run({ data: packet });
        });
        // Linux does not load it.
        if (kernel.name === "embedded") expect(failed).toBeInstanceOf(ProgramFaultError);
        else expect(failed).toMatchObject({ code: "EACCES" });
      }
      expect(map.get(words(1))).toEqual(words(1, 0));
    });

    it("opened or created again, it is the same", async () => {
      using kernel = await open();
      if (kernel.name === "linux") return;
      const options = { type, keySize: 4, valueSize: 4, maxEntries: 4 };
      using map = GenericMap.openOrCreate(kernel, "/sys/fs/bpf/devices", options);
      using again = GenericMap.openOrCreate(kernel, "/sys/fs/bpf/devices", options);
      expect(again.id).toBe(map.id);
      kernel.unlink("/sys/fs/bpf/devices");
    });
  });

  it("what a redirect returns", async () => {
    using kernel = await open();
    for (const type of ["devmap", "devmap_hash"]) {
      using map = createMap(kernel, type, 4);
      map.set(words(1), words(1));
      const redirect = (key: number, flags: number): number => {
        const text = `r1 = map[fd:${map.fd}]\nr2 = ${key} ll\nr3 = ${flags} ll\ncall 51\nexit`;
        using program = load(kernel, text);
        return program.run({ data: packet }).retval;
      };
      const flags = [0, 1, 2, 3, 4, 8, 9, 16, 18, 24, 27, 32, 2 ** 32];
      expect(flags.map((each) => redirect(1, each))).toEqual([4, 4, 4, 4, 0, 4, 4, 4, 4, 4, 4, 0, 0]);
      for (const key of [0, 2, 77, 2 ** 32 - 1]) {
        expect(flags.map((each) => redirect(key, each))).toEqual([0, 1, 2, 3, 0, 4, 4, 0, 2, 4, 4, 0, 0]);
      }
      // Of the key, the lower half counts.
      expect(redirect(2 ** 32 + 1, 0)).toBe(4);
    }
  });

  it("programs that are for such maps are not run by hand", async () => {
    using kernel = await open();
    for (const expectedAttachType of [BPF_XDP_DEVMAP, BPF_XDP_CPUMAP]) {
      using program = load(kernel, "r0 = 2\nexit", { expectedAttachType });
      expect(thrownBy(() => program.run({ data: packet }))).toMatchObject({ code: "EINVAL" });
    }
  });
});

describe("devices of the embedded kernel", () => {
  it("are as many as it is made with, and stay with its image", async () => {
    using kernel = await EmbeddedKernel.create({ devices: 3 });
    using loaded = await EmbeddedKernel.load(kernel.save());
    for (const each of [kernel, loaded]) {
      using map = createMap(each, "devmap_hash", 4);
      for (const device of [1, 2, 3]) map.set(words(device), words(device));
      expect(thrownBy(() => map.set(words(1), words(4)))).toMatchObject({ code: "EINVAL" });
      for (const device of [1, 2, 3]) expect(map.get(words(device))).toEqual(words(device));
    }
    for (const devices of [0, -1, 1.5, 2 ** 31]) {
      await expect(EmbeddedKernel.create({ devices })).rejects.toThrow(RangeError);
    }
  });

  it("packets come from them", async () => {
    using kernel = await EmbeddedKernel.create({ devices: 3 });
    // ingress_ifindex, of struct xdp_md; ifindex, of struct __sk_buff.
    using xdp = load(kernel, "r0 = *(u32 *)(r1 + 12)\nexit");
    using tc = load(kernel, "r0 = *(u32 *)(r1 + 40)\nexit", { type: BPF_PROG_TYPE_SCHED_CLS });
    const from = (program: Program, device: number): number => {
      const context = new Uint8Array(program === xdp ? 24 : 192);
      const view = new DataView(context.buffer);
      view.setUint32(program === xdp ? 12 : 40, device, true);
      if (program === xdp) view.setUint32(4, packet.length, true);
      return program.run({ data: packet, context }).retval;
    };
    for (const program of [xdp, tc]) {
      expect([0, 1, 2, 3].map((device) => from(program, device))).toEqual([1, 1, 2, 3]);
      expect(thrownBy(() => from(program, 4))).toMatchObject({ code: program === xdp ? "EINVAL" : "ENODEV" });
    }
  });

  it("an image has what its maps hold", async () => {
    using kernel = await EmbeddedKernel.create();
    using map = createMap(kernel, "devmap");
    using program = ofDevmap(kernel);
    map.set(words(1), words(1, program.fd));
    using loaded = await EmbeddedKernel.load(kernel.save());
    expect(loaded.check()).toEqual([]);
    loaded.close(program.fd);
    using again = GenericMap.fromId(loaded, map.id);
    expect(again.get(words(1))).toEqual(words(1, program.id));
    again.delete(words(1));
    expect(hasProgram(loaded, program.id)).toBe(false);
    expect(loaded.check()).toEqual([]);
  });
});

it.each(["prog_array", "perf_event_array"])("elems of a %s are no program's memory", async (type) => {
  for (const compile of [true, false]) {
    using kernel = await EmbeddedKernel.create({ compile });
    using map = GenericMap.create(kernel, { type, keySize: 4, valueSize: 4, maxEntries: 2 });
    // FD_TABLE of kernel/super.ts, and `values` of kernel/maps/_array.ts.
    const memory = new Uint32Array(kernel.share().memory.buffer);
    const values = memory[memory[(0x43000 + 8 * map.fd) / 4]! / 4 + 42]!;
    for (const act of ["r0 = *(u32 *)(r2 + 0)", "*(u64 *)(r2 + 8) = 4096"]) {
      using program = load(kernel, `r1 = map[fd:${map.fd}]\nr2 = ${values} ll\n${act}\nr0 = 0\nexit`);
      expect(() => program.run({ data: packet })).toThrow(ProgramFaultError);
    }
  }
});
