/**
 * DevMap and DevMapHash: what each method promises, with lo, and with programs.
 */
import { DevMap, DevMapHash, GenericMap, type Kernel } from "tsbpf";
import { Program, assemble } from "tsbpf/program";
import { BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP } from "tsbpf/uapi";
import { expect, it } from "vitest";
import { forEachWay, thrownBy, useBpffs } from "./_ways.js";

const LO = 1;
const NO_DEVICE = 0x7ffffff0;

function load(kernel: Kernel): Program {
  const insns = assemble("r0 = 2\nexit");
  const attr = { name: "seen", type: BPF_PROG_TYPE_XDP, license: "GPL", expectedAttachType: BPF_XDP_DEVMAP, insns };
  return Program.load(kernel, attr);
}

forEachWay((way) => {
  const folder = useBpffs(way);

  it("devices by index", () => {
    const kernel = way();
    using ports = DevMap.create(kernel, { name: "ports", maxEntries: 4 });
    expect([ports.length, ports.info().typeName, ports.info().valueSize]).toEqual([4, "devmap", 8]);
    expect([ports.get(1), ports.has(1), ports.delete(1)]).toEqual([undefined, false, false]);
    ports.set(1, LO);
    ports.set(3, LO);
    expect(ports.get(1)).toEqual({ ifindex: LO, programId: 0 });
    expect([...ports]).toEqual([
      [1, { ifindex: LO, programId: 0 }],
      [3, { ifindex: LO, programId: 0 }],
    ]);
    expect([...ports.keys()]).toEqual([1, 3]);
    expect([ports.delete(1), ports.delete(1), ports.has(1)]).toEqual([true, false, false]);
    ports.set(3, 0);
    expect([...ports.keys()]).toEqual([]);
    expect(thrownBy(() => ports.set(1, NO_DEVICE))).toMatchObject({ code: "EINVAL" });
    expect(thrownBy(() => ports.set(4, LO))).toMatchObject({ code: "E2BIG" });
    expect(thrownBy(() => ports.delete(4))).toMatchObject({ code: "EINVAL" });
    expect([ports.get(4), ports.has(4)]).toEqual([undefined, false]);
    expect(() => ports.set(-1, LO)).toThrow(RangeError);
  });

  it("devices by any key", () => {
    const kernel = way();
    using vlans = DevMapHash.create(kernel, { name: "vlans", maxEntries: 2 });
    expect(vlans.info().typeName).toBe("devmap_hash");
    vlans.set(4094, LO);
    vlans.set(2 ** 32 - 1, LO);
    expect(vlans.get(4094)).toEqual({ ifindex: LO, programId: 0 });
    expect([...vlans.keys()].toSorted((a, b) => a - b)).toEqual([4094, 2 ** 32 - 1]);
    expect(thrownBy(() => vlans.set(1, LO))).toMatchObject({ code: "E2BIG" });
    expect(thrownBy(() => vlans.set(1, 0))).toMatchObject({ code: "EINVAL" });
    expect([vlans.delete(4094), vlans.delete(4094)]).toEqual([true, false]);
  });

  it("with programs", () => {
    const kernel = way();
    using program = load(kernel);
    for (const create of [DevMap.create, DevMapHash.create]) {
      using map = create(kernel, { maxEntries: 2 });
      map.set(1, LO, { program: program.fd });
      expect(map.get(1)).toEqual({ ifindex: LO, programId: program.id });
      expect([...map]).toEqual([[1, { ifindex: LO, programId: program.id }]]);
      expect(thrownBy(() => map.set(1, LO, { program: map.fd }))).toMatchObject({ code: "EINVAL" });
      map.set(1, LO);
      expect(map.get(1)).toEqual({ ifindex: LO, programId: 0 });
    }
  });

  it("of maps with devices alone", () => {
    const kernel = way();
    const shape = { type: "devmap", keySize: 4, valueSize: 4, maxEntries: 2 };
    using map = GenericMap.create(kernel, shape);
    using ports = DevMap.fromId(kernel, map.id);
    ports.set(0, LO);
    expect([ports.get(0), ports.get(1)]).toEqual([{ ifindex: LO, programId: 0 }, undefined]);
    expect(() => ports.set(0, LO, { program: 3 })).toThrow(
      new TypeError("program: the map has devices alone, its values are of 4 bytes"),
    );
    expect(() => DevMapHash.fromId(kernel, map.id)).toThrow(TypeError);
  });

  it("pinned, and by fds that may do less", () => {
    const kernel = way();
    for (const kind of [DevMap, DevMapHash]) {
      const path = `${folder()}/devices`;
      using map = kind.openOrCreate(kernel, path, { maxEntries: 2 });
      using again = kind.openOrCreate(kernel, path, { maxEntries: 2 });
      using reader = kind.open(kernel, path, { access: "read" });
      using writer = kind.fromId(kernel, map.id, { access: "write" });
      expect([again.id, reader.id]).toEqual([map.id, map.id]);
      writer.set(1, LO);
      expect(reader.get(1)).toEqual({ ifindex: LO, programId: 0 });
      expect(thrownBy(() => reader.set(1, LO))).toMatchObject({ code: "EPERM" });
      expect(thrownBy(() => writer.get(1))).toMatchObject({ code: "EPERM" });
      expect(writer.delete(1)).toBe(true);
      expect(thrownBy(() => kind.openOrCreate(kernel, path, { maxEntries: 3 }))).toMatchObject({ code: "EEXIST" });
      kernel.unlink(path);
      map.close();
      expect(thrownBy(() => map.get(1))).toMatchObject({ code: "EBADF" });
      expect(thrownBy(() => map.delete(1))).toMatchObject({ code: "EBADF" });
    }
  });
});
