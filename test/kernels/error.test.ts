/**
 * BpfError: its fields and its message.
 */
import { BpfError, EmbeddedKernel, HashMap, u32 } from "tsbpf";
import { E2BIG, EINVAL } from "tsbpf/uapi";
import { describe, expect, it } from "vitest";

describe("BpfError", () => {
  it("has Node's fields and the message of what, command, errno and hint", () => {
    const cause = new Error("why");
    const details = { key: 7 };
    const hint = "raise maxEntries";
    const error = new BpfError("Cannot insert", -E2BIG, { cmd: "BPF_MAP_UPDATE_ELEM", hint, details, cause });
    expect(error).toBeInstanceOf(Error);
    expect(error.name).toBe("BpfError");
    expect(error.message).toBe("Cannot insert: BPF_MAP_UPDATE_ELEM failed with E2BIG (raise maxEntries)");
    expect(error).toMatchObject({
      code: "E2BIG",
      errno: -7,
      syscall: "bpf",
      cmd: "BPF_MAP_UPDATE_ELEM",
      hint,
      details,
    });
    expect(error.cause).toBe(cause);
    expect(String(error)).toBe(`BpfError: ${error.message}`);
  });

  it("takes an errno of either sign, and names one that has no name", () => {
    expect(new BpfError("x", EINVAL)).toMatchObject({ code: "EINVAL", errno: -22 });
    expect(new BpfError("x", -524)).toMatchObject({ code: "ENOTSUPP", errno: -524 });
    expect(new BpfError("x", 999)).toMatchObject({ code: "errno 999", errno: -999 });
  });

  it("says less when less is known", () => {
    const error = new BpfError("Cannot read", EINVAL);
    expect(error.message).toBe("Cannot read: EINVAL");
    expect(error).toMatchObject({ syscall: "bpf", cmd: undefined, hint: undefined, details: {} });
    expect("cause" in error).toBe(false);
    expect(new BpfError("Cannot map", EINVAL, { syscall: "mmap" }).message).toBe("Cannot map: mmap failed with EINVAL");
    expect(new BpfError("Cannot map", EINVAL, { syscall: "mmap" }).syscall).toBe("mmap");
  });

  it("has from a map what a program may look at", async () => {
    using kernel = await EmbeddedKernel.create({ maxMemory: 2 ** 24 });
    using map = HashMap.create(kernel, { name: "full", key: u32, value: u32, maxEntries: 1 });
    map.set(1, 1);
    let thrown: unknown;
    try {
      map.set(2, 1);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(BpfError);
    expect(thrown).toMatchObject({
      code: "E2BIG",
      errno: -7,
      syscall: "bpf",
      cmd: "BPF_MAP_UPDATE_ELEM",
      hint: "the map holds 1 of 1 elems: raise maxEntries or use an lru_hash",
      details: { map: map.info(), key: 2 },
    });
  });
});
