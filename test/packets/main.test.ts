/** `npm start`: the program as its users run it, on both kernels, with files of every kind. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { breakText, indexCapture } from "tsbpf/pcap";
import { describeLinux, whyNoLinux } from "../kernels.js";
import { captureNames, randomIntegers, readCapture, testSeed } from "./_captures.js";
import { type Count, expectedOf, flowText } from "./_expected.js";
import { tcpdump, tcpdumpMissing } from "./_tcpdump.js";

const main = fileURLToPath(new URL("../../build/examples/packets/main.js", import.meta.url));
const captureFile = (name: string): string => fileURLToPath(new URL(`../../examples/packets/${name}`, import.meta.url));
const kernels = ["embedded", ...(whyNoLinux === undefined ? ["linux"] : [])];

interface Flow extends Count {
  src: string;
  dst: string;
  srcPort: number;
  dstPort: number;
  protocol: number;
  vlan: number;
}
/** What --json prints. */
interface Json {
  file: string;
  kernel: string;
  workers: number;
  seconds: number;
  totals: Count;
  protocols: (Count & { name: string; perCpu: Count[] })[];
  flows: Flow[];
  sources: (Count & { address: string })[];
  check: { map: string; of: string; unit: string; inFile: number; inMap: number; refused: number; equal: boolean }[];
  broken: { offset: number; packet: number | null; reason: string; text: string } | null;
  left: { fds: number; maps: number; bytes: number } | null;
}

function run(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...args], { encoding: "utf8", maxBuffer: 2 ** 26 });
}

function runJson(...args: string[]): { status: number | null; stderr: string; json: Json } {
  const { status, stdout, stderr } = run("--json", ...args);
  return { status, stderr, json: JSON.parse(stdout) as Json };
}

const countOf = ({ packets, bytes }: Count): Count => ({ packets, bytes });

/** What the maps held, in the form of `expectedOf`. */
function found({ protocols, flows, sources }: Json) {
  return {
    protocols: Object.fromEntries(protocols.map((row) => [row.name, countOf(row)])),
    flows: Object.fromEntries(flows.map((row) => [flowText(row), countOf(row)])),
    sources: Object.fromEntries(sources.map((row) => [row.address, countOf(row)])),
  };
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "tsbpf-packets-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

describe("the capture that comes with it", () => {
  test("is counted without any option, in tables without colours where there is no terminal", () => {
    const { status, stdout, stderr } = run();
    const { totals, ip } = expectedOf(readCapture("capture.pcap"));
    const [packets, withIp] = [totals, ip].map((count) => count.packets.toLocaleString("en-US"));
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout.startsWith("capture.pcap  ")).toBe(true);
    expect(stdout).not.toContain("\x1b");
    expect(stdout).toMatch(
      new RegExp(`protocols +all packets +${packets} packets in the file, +${packets} in the map: equal`),
    );
    for (const map of ["flows", "sources"]) {
      expect(stdout).toMatch(
        new RegExp(`${map} +packets with IP +${withIp} packets in the file, +${withIp} in the map: equal`),
      );
    }
    expect(stdout.match(/: equal$/gm)).toHaveLength(6);
  });

  test("gives one JSON object and nothing else, flows and sources with most bytes first", () => {
    const { status, stderr, json } = runJson();
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(json).toMatchObject({ kernel: "embedded", workers: 4, broken: null });
    expect(json.file).toBe(captureFile("capture.pcap"));
    expect(json.seconds).toBeGreaterThan(0);
    for (const rows of [json.flows, json.sources]) {
      expect(rows.map(({ bytes }) => bytes)).toEqual(rows.map(({ bytes }) => bytes).toSorted((a, b) => b - a));
    }
  });

  test.skipIf(tcpdumpMissing() !== undefined)("has the packets and bytes that tcpdump finds", () => {
    const { lines } = tcpdump(readCapture("capture.pcap"));
    const { totals, protocols } = runJson().json;
    const other = protocols.find(({ name }) => name === "other")!;
    // Of 802.3 frames, which are "other", it prints the length that is inside them.
    const frames = lines.filter((line) => line.includes(" 802.3, "));
    const lengths = lines.map((line) => (frames.includes(line) ? 0 : Number(/\blength (\d+)/.exec(line)![1])));
    expect(totals.packets).toBe(lines.length);
    expect(other.packets).toBe(frames.length);
    expect(totals.bytes - other.bytes).toBe(lengths.reduce((sum, length) => sum + length, 0));
  });
});

describe.each(kernels)("on the %s kernel", (kernel) => {
  describe.each(captureNames)("%s", (name) => {
    test.each([1, 2, 4])("with %i workers, every map holds what one thread counts without maps", (workers) => {
      const { status, stderr, json } = runJson(captureFile(name), "--kernel", kernel, "--workers", String(workers));
      const { totals, ip, ...maps } = expectedOf(readCapture(name));
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(json).toMatchObject({ kernel, workers, totals });
      expect(found(json)).toEqual(maps);
      expect(json.check).toHaveLength(6);
      for (const { map, unit, ...check } of json.check) {
        const count = (map === "protocols" ? totals : ip)[unit as keyof Count];
        expect(check).toMatchObject({ inFile: count, inMap: count, refused: 0, equal: true });
      }
      expect(json.left).toEqual(kernel === "linux" ? null : { fds: 0, maps: 0, bytes: 0 });
    });
  });

  test("a per-CPU value has a slot for each CPU, and they add up", () => {
    const { json } = runJson("--kernel", kernel, "--workers", "3");
    for (const { perCpu, packets, bytes } of json.protocols) {
      if (kernel === "embedded") expect(perCpu).toHaveLength(3);
      const sum = { packets: 0, bytes: 0 };
      for (const slot of perCpu) {
        sum.packets += slot.packets;
        sum.bytes += slot.bytes;
      }
      expect(sum).toEqual({ packets, bytes });
    }
  });

  test("maps that are too small: what they refuse is counted, said, and ends it with 1", () => {
    const { status, stderr, json } = runJson("--kernel", kernel, "--max-flows", "10");
    const { ip } = expectedOf(readCapture("capture.pcap"));
    expect(status).toBe(1);
    expect(json.flows).toHaveLength(10);
    expect(json.sources).toHaveLength(10);
    for (const { map, unit, inFile, inMap, refused, equal } of json.check) {
      if (map === "protocols") continue;
      expect(inFile).toBe(ip[unit as keyof Count]);
      expect(refused).toBeGreaterThan(0);
      expect(inMap + refused).toBe(inFile);
      expect(equal).toBe(true);
    }
    expect(stderr).toMatch(/^packets: the map "flows" is full: it has [\d,]+ of [\d,]+ packets, raise --max-flows$/m);
    expect(stderr).toMatch(/^packets: the map "sources" is full: /m);
  });
});

describe("a capture that breaks off", () => {
  const seed = testSeed();

  test.each(captureNames)("%s, cut anywhere, is counted up to the break, and ends with 2", (name) => {
    const random = randomIntegers(seed);
    const whole = readCapture(name);
    for (let i = 0; i < 3; i++) {
      const bytes = whole.subarray(0, 1000 + random(whole.length - 1001));
      const { broken } = indexCapture(bytes);
      // Cut between two packets, it is whole.
      if (broken === undefined) continue;
      const { status, stderr, json } = runJson(fileOf(`cut-${name}`, bytes));
      const { totals, ip: _, ...maps } = expectedOf(bytes);
      expect(status, `cut at ${bytes.length}`).toBe(2);
      expect(json.totals).toEqual(totals);
      expect(found(json)).toEqual(maps);
      expect(json.broken).toMatchObject({ offset: broken.offset, text: breakText(broken) });
      expect(stderr).toBe(`packets: ${json.file} breaks off, what is whole was counted: ${breakText(broken)}\n`);
    }
  });

  test("a damaged record ends the count there", () => {
    const bytes = readCapture("capture.pcap");
    const index = indexCapture(bytes);
    // The captured bytes of packet 1001.
    bytes.fill(0xff, index.offsets[1000]! - 8, index.offsets[1000]! - 4);
    const { status, stdout, stderr } = run(fileOf("damaged.pcap", bytes));
    expect(status).toBe(2);
    expect(stdout).toMatch(/protocols +all packets +1,000 packets in the file, +1,000 in the map: equal/);
    expect(stderr).toContain("packet 1,001 at byte ");
  });

  test("cut in its first packet, it has none", () => {
    const { status, json } = runJson(fileOf("first.pcap", readCapture("capture.pcap").subarray(0, 50)));
    expect(status).toBe(2);
    expect(json).toMatchObject({ totals: { packets: 0, bytes: 0 }, flows: [], sources: [], broken: { packet: 1 } });
  });

  test("a capture without packets is whole", () => {
    const { status, json } = runJson(fileOf("none.pcap", readCapture("capture.pcap").subarray(0, 24)));
    expect(status).toBe(0);
    expect(json.totals).toEqual({ packets: 0, bytes: 0 });
  });
});

describe("what cannot be counted", () => {
  const expectRefusal = (args: string[], status: number, message: RegExp): void => {
    const result = run(...args);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).not.toContain("    at ");
    expect({ status: result.status, stdout: result.stdout }).toEqual({ status, stdout: "" });
  };

  test("is no capture", () => {
    const garbage = Uint8Array.from({ length: 5000 }, (_, i) => (i * 7 + 13) & 0xff);
    const message =
      /^packets: Cannot count the packets of .*: at byte 0: the file begins with 0x0d141b22, wanted a pcap/;
    expectRefusal([fileOf("garbage", garbage)], 65, message);
    expectRefusal([fileOf("empty", "")], 65, /the file is empty, wanted a pcap or pcapng header$/m);
    expectRefusal(["--json", fileOf("text", "hello, world")], 65, /the file begins with 0x68656c6c/);
  });

  test("cannot be read", () => {
    expectRefusal(
      [join(folder, "absent.pcap")],
      66,
      /^packets: Cannot read .*absent\.pcap: no such file or directory$/m,
    );
    expectRefusal([folder], 66, /illegal operation on a directory$/m);
  });

  test.each([
    [["--frames"], /^packets: Unknown option '--frames'\nTry: npm start -- --help$/m],
    [["--workers"], /--workers/],
    [["--workers", "0"], /--workers: wanted an integer from 1 to 64, found "0"$/m],
    [["--workers", "65"], /found "65"/],
    [["--workers", "two"], /found "two"/],
    [["--workers", "1.5"], /found "1.5"/],
    [["--max-flows", "0"], /--max-flows: wanted an integer from 1 to 4194304, found "0"$/m],
    [["--kernel", "bsd"], /--kernel: wanted embedded or linux, found "bsd"$/m],
    [["a.pcap", "b.pcap"], /expected one file, found 2: a\.pcap b\.pcap$/m],
  ])("is told by %j", (args, message) => expectRefusal(args, 64, message));
});

test("--help says what there is, and what it ends with", () => {
  const { status, stdout, stderr } = run("--help");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  for (const word of ["--workers", "--kernel", "--max-flows", "--json", "Exit status"]) expect(stdout).toContain(word);
});

/** Unprivileged users may create hash maps where it is 0. */
const isBpfForAll = (): boolean => readFileSync("/proc/sys/kernel/unprivileged_bpf_disabled", "utf8").trim() === "0";

describeLinux("without the right to use bpf(2)", () => {
  test.skipIf(whyNoLinux !== undefined || isBpfForAll())("it says so, and what to do", () => {
    const drop = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"];
    const { status, stdout, stderr } = spawnSync("setpriv", [...drop, process.execPath, main, "--kernel", "linux"], {
      encoding: "utf8",
    });
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
    expect(stderr).toMatch(/^packets: Cannot open the Linux kernel: .*EPERM.*EmbeddedKernel/);
  });
});

describe("on a terminal", () => {
  const onTerminal = (env: Record<string, string>): string => {
    const { stdout, error } = spawnSync("script", ["-qec", `'${process.execPath}' '${main}'`, "/dev/null"], {
      encoding: "utf8",
      // What runs the tests (npm, vitest, CI) may force colours, or forbid them.
      env: {
        ...process.env,
        CI: undefined,
        FORCE_COLOR: undefined,
        NO_COLOR: undefined,
        TERM: "xterm-256color",
        ...env,
      },
    });
    if (error !== undefined) throw error;
    return stdout;
  };
  const clearAll = "\x1b[J";
  // oxlint-disable-next-line no-control-regex -- it is what a terminal is told colours by
  const colour = /\x1b\[\d+m/;

  test("it draws while it counts, and leaves the tables", () => {
    const shown = onTerminal({});
    expect(shown).toContain(" 0 %");
    expect(shown).toMatch(colour);
    const tables = shown.slice(shown.lastIndexOf(clearAll));
    expect(tables).toContain("capture.pcap");
    expect(tables).not.toContain(" %");
    expect(tables.match(/equal/g)).toHaveLength(6);
  });

  test("NO_COLOR is kept to", () => {
    const shown = onTerminal({ NO_COLOR: "1" });
    expect(shown).toContain(clearAll);
    expect(shown).not.toMatch(colour);
  });

  test("a dumb one is not drawn on", () => {
    expect(onTerminal({ TERM: "dumb" })).not.toContain("\x1b");
  });
});
