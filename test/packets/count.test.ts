/** The parts of the packet counter in this process: threads that fail, looks at changing maps, the check, the screen. */
import { fileURLToPath } from "node:url";
import { EmbeddedKernel } from "tsbpf";
import { describe, expect, test } from "vitest";
import { checkMaps } from "../../examples/packets/check.js";
import type { count as Count } from "../../examples/packets/count.js";
import type { runCrew as RunCrew } from "../../examples/packets/crew.js";
import type { Tally } from "../../examples/packets/job.js";
import { addressText, bar, endTexts, protocolText } from "../../examples/packets/format.js";
import { PacketMaps } from "../../examples/packets/maps.js";
import { noColours } from "../../examples/packets/paint.js";
import { indexCapture } from "tsbpf/pcap";
import type { Progress } from "../../examples/packets/report.js";
import { progressLines, reportLines } from "../../examples/packets/show.js";
import { readTables, sumOf } from "../../examples/packets/tables.js";
import { readCapture } from "./_captures.js";

// What starts threads is compiled: Node cannot run a worker from TypeScript.
const built = (name: string): string => new URL(`../../build/examples/packets/${name}.js`, import.meta.url).href;
const { count } = (await import(built("count"))) as { count: typeof Count };
const { runCrew } = (await import(built("crew"))) as { runCrew: typeof RunCrew };

const file = fileURLToPath(new URL("../../examples/packets/capture.pcap", import.meta.url));
const nothing = { fds: 0, maps: 0, bytes: 0 };

describe("count", () => {
  test("shows the maps while they change: counts only rise, up to the file's", async () => {
    const looks: Progress[] = [];
    const report = await count({ file, workers: 2, kernel: "embedded", maxFlows: 65_536 }, (look) => looks.push(look));
    const seen = [...looks, report].map(({ protocols }) => sumOf(protocols.map(({ sum }) => sum)).packets);
    expect(looks.length).toBeGreaterThan(0);
    expect(seen).toEqual(seen.toSorted((a, b) => Number(a - b)));
    expect(seen.at(-1)).toBe(report.totals.packets);
    expect(report.left).toEqual(nothing);
  });
});

describe("a worker that fails", () => {
  const shared = (): { bytes: Uint8Array<SharedArrayBuffer>; index: ReturnType<typeof indexCapture> } => {
    const capture = readCapture("capture.pcap");
    const bytes = new Uint8Array(new SharedArrayBuffer(capture.length));
    bytes.set(capture);
    return { bytes, index: indexCapture(bytes) };
  };

  test("in the midst of its packets ends the job with its error, and nothing is left", async () => {
    const kernel = await EmbeddedKernel.create({ possibleCpus: 4 });
    const maps = PacketMaps.create(kernel, 65_536);
    const capture = shared();
    capture.index.offsets[6000] = 2 ** 40;
    const job = { kernel: kernel.share(), mapIds: maps.ids, capture };
    await expect(runCrew(job, 4)).rejects.toThrow(/bounds of the DataView/);
    maps[Symbol.dispose]();
    expect(kernel.usage()).toEqual(nothing);
    kernel[Symbol.dispose]();
  });

  test("before its first packet does so, too", async () => {
    const kernel = await EmbeddedKernel.create({ possibleCpus: 4 });
    const maps = PacketMaps.create(kernel, 64);
    const job = { kernel: kernel.share(), mapIds: { ...maps.ids, sources: 12_345 }, capture: shared() };
    await expect(runCrew(job, 3)).rejects.toMatchObject({
      name: "BpfError",
      code: "ENOENT",
      message: expect.stringContaining("Cannot open map id 12345 as HashMap"),
    });
    kernel[Symbol.dispose]();
  });
});

describe("the check", () => {
  const one = { packets: 1n, bytes: 60n };
  const none = { packets: 0n, bytes: 0n };
  const tally = { ipPackets: 1, ipBytes: 60, refused: { flows: none, sources: none } };

  /** Counts one packet in maps, and has them checked against a file. */
  async function check(totals: { packets: bigint; bytes: bigint }, tallies: Tally[]): Promise<string[]> {
    using kernel = await EmbeddedKernel.create({ possibleCpus: 2 });
    using maps = PacketMaps.create(kernel, 8);
    const [src, dst] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)];
    maps.protocols.add(4, one);
    maps.flows.add({ src, dst, srcPort: 1, dstPort: 2, protocol: 6, vlan: 0 }, one);
    maps.sources.add(src, one);
    const checks = checkMaps(totals, tallies, readTables(maps));
    return checks.filter(({ equal }) => !equal).map(({ map, unit }) => `${map} ${unit}`);
  }

  test("finds maps equal to the file", async () => {
    expect(await check(one, [tally])).toEqual([]);
  });

  test("names the map that differs, and whether in packets or in bytes", async () => {
    expect(await check({ packets: 2n, bytes: 60n }, [tally])).toEqual(["protocols packets"]);
    expect(await check({ packets: 1n, bytes: 61n }, [tally])).toEqual(["protocols bytes"]);
    expect(await check(one, [{ ...tally, ipPackets: 2 }])).toEqual(["flows packets", "sources packets"]);
    expect(await check(one, [tally, { ...tally, ipPackets: 0, ipBytes: 1 }])).toEqual(["flows bytes", "sources bytes"]);
    expect(await check(one, [{ ...tally, refused: { flows: one, sources: none } }])).toEqual([
      "flows packets",
      "flows bytes",
    ]);
  });

  test("is shown as such", async () => {
    const report = await count({ file, workers: 1, kernel: "embedded", maxFlows: 65_536 });
    const check = report.check.map((line, i) => (i === 2 ? { ...line, inMap: line.inMap - 1n, equal: false } : line));
    const lines = reportLines({ ...report, check }, { width: 100, paint: noColours });
    expect(lines.filter((line) => line.endsWith(": NOT EQUAL"))).toHaveLength(1);
    expect(lines.find((line) => line.startsWith("flows ") && line.endsWith(": NOT EQUAL"))).toContain(
      "packets in the file",
    );
  });
});

describe("the screen", () => {
  test("is never drawn on in more lines than it has", async () => {
    const report = await count({ file, workers: 2, kernel: "embedded", maxFlows: 65_536 });
    for (let height = 1; height < 60; height++) {
      const lines = progressLines(report, { width: 80, paint: noColours }, height);
      expect(lines.length).toBeLessThanOrEqual(height);
      if (height > 45) expect(lines.join("\n")).toContain("100 %");
    }
  });

  test("has bars only where they fit", async () => {
    const report = await count({ file, workers: 2, kernel: "embedded", maxFlows: 65_536 });
    for (const width of [20, 60, 80, 100, 120]) {
      const bars = reportLines(report, { width, paint: noColours }).filter((line) => line.includes("█"));
      if (width >= 60) expect(bars.length).toBeGreaterThan(0);
      for (const line of bars) expect(line.length).toBeLessThanOrEqual(width);
    }
  });
});

describe("text", () => {
  const mapped = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7);
  const v6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
  const flow = { src: mapped, dst: v6, srcPort: 80, dstPort: 4242, protocol: 6, vlan: 0 };

  test("of addresses and flows", () => {
    expect(addressText(mapped)).toBe("192.0.2.7");
    expect(addressText(v6)).toBe("2001:db8::1");
    expect(endTexts(flow)).toEqual(["192.0.2.7:80", "[2001:db8::1]:4242"]);
    expect(endTexts({ ...flow, protocol: 1, srcPort: 0, dstPort: 0 })).toEqual(["192.0.2.7", "2001:db8::1"]);
    // A fragment but the first.
    expect(endTexts({ ...flow, srcPort: 0, dstPort: 0 })).toEqual(["192.0.2.7", "2001:db8::1"]);
  });

  test("of protocols", () => {
    expect([6, 17, 1, 58, 250].map(protocolText)).toEqual(["TCP", "UDP", "ICMP", "ICMPv6", "250"]);
  });

  test("of bars", () => {
    expect([0, 0.5, 1, 2].map((share) => bar(share, 4))).toEqual(["", "██", "████", "████"]);
    expect(bar(1 / 32, 4)).toBe("▏");
    expect(bar(0.3, 4)).toBe("█▎");
  });
});
