/** `npm start -- --kernel linux --interface IFACE`: the program at an interface, with packets that another namespace sends. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { whyNoLinux } from "../kernels.js";

const main = fileURLToPath(new URL("../../build/examples/packets/main.js", import.meta.url));
const why = whyNoLinux ?? (spawnSync("ip", ["netns", "list"]).status === 0 ? undefined : "there is no ip(8)");

interface Json {
  kernel: string;
  file: string;
  totals: { packets: number; bytes: number };
  protocols: { name: string; packets: number; bytes: number }[];
  flows: { src: string; dst: string; protocol: number; packets: number; bytes: number }[];
  sources: { address: string; packets: number }[];
  check: unknown[];
}

/** Sends 20 datagrams of 100 bytes. */
const SENDER = `
  import { createSocket } from "node:dgram";
  const socket = createSocket("udp4");
  await new Promise((resolve) => socket.bind(5555, resolve));
  for (let i = 0; i < 20; i++) await new Promise((resolve) => socket.send(Buffer.alloc(100), 7777, "10.9.8.1", resolve));
  socket.close();
`;

const ip = (...words: string[]): string => execFileSync("ip", words, { encoding: "utf8" });

/** Runs `body` with two namespaces that a pair of devices, "near" and "far", connects. */
async function withPair(body: (near: string, far: string) => Promise<void>): Promise<void> {
  const [near, far] = [`tsbpf-${process.pid}-near`, `tsbpf-${process.pid}-far`];
  try {
    for (const netns of [near, far]) ip("netns", "add", netns);
    ip("-n", near, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", far);
    for (const [netns, device, host] of [
      [near, "near", 1],
      [far, "far", 2],
    ] as const) {
      ip("-n", netns, "address", "add", `10.9.8.${host}/24`, "dev", device);
      ip("-n", netns, "link", "set", device, "up");
    }
    await body(near, far);
  } finally {
    for (const netns of [near, far]) spawnSync("ip", ["netns", "del", netns]);
  }
}

describe.skipIf(why !== undefined)(`an interface${why === undefined ? "" : ` (skipped: ${why})`}`, () => {
  test("what comes in is counted until it is told to end; then no program is left there", async () => {
    await withPair(async (near, far) => {
      const args = [
        "netns",
        "exec",
        near,
        process.execPath,
        main,
        "--kernel",
        "linux",
        "--interface",
        "near",
        "--json",
      ];
      const child = spawn("ip", args, { stdio: ["ignore", "pipe", "inherit"] });
      const chunks: Buffer[] = [];
      child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
      const exit = once(child, "exit");
      const isThere = (): boolean => ip("-n", near, "link", "show", "near").includes("prog/xdp");
      for (let tries = 0; !isThere() && tries < 200; tries++) await sleep(50);
      expect(isThere()).toBe(true);
      ip("netns", "exec", far, process.execPath, "--input-type=module", "--eval", SENDER);
      child.kill("SIGINT");
      expect((await exit)[0]).toBe(0);
      expect(isThere()).toBe(false);

      const json = JSON.parse(Buffer.concat(chunks).toString()) as Json;
      expect(json).toMatchObject({ kernel: "linux", file: "near", check: [] });
      const bytes = 20 * (14 + 20 + 8 + 100);
      expect(json.protocols.find(({ name }) => name === "udp")).toMatchObject({ packets: 20, bytes });
      const flow = { src: "10.9.8.2", dst: "10.9.8.1", srcPort: 5555, dstPort: 7777, protocol: 17, packets: 20, bytes };
      expect(json.flows.find(({ src, protocol }) => src === "10.9.8.2" && protocol === 17)).toMatchObject(flow);
      expect(json.sources.find(({ address }) => address === "10.9.8.2")).toMatchObject({ packets: 20 });
      expect(json.totals.packets).toBe(json.protocols.reduce((sum, { packets }) => sum + packets, 0));
    });
  });

  test.each([
    [["--interface", "near"], 64, "--interface: wanted --kernel linux with it"],
    [["--interface", "near", "--kernel", "linux", "a.pcap"], 64, "--interface: wanted no file with it"],
    [["--seconds", "3"], 64, "--seconds: wanted --interface with it"],
    [["--kernel", "linux", "--interface", "nosuch0"], 1, "nosuch0"],
  ])("%j is refused", (args, status, message) => {
    const result = spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
    expect(result.stderr).toContain(message);
    expect({ status: result.status, stdout: result.stdout }).toEqual({ status, stdout: "" });
  });

  test("tables are shown at the end, without a check", () => {
    const args = [main, "--kernel", "linux", "--interface", "lo", "--seconds", "1"];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^lo {2}[\d,]+ packets, [\d,]+ bytes {2}as they came in, on the linux kernel$/m);
    expect(stdout).not.toContain("check");
  });
});
