/**
 * The image file between commands: many at once lose nothing, killed ones leave it whole, damaged ones are left alone.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Image } from "../../src/cli/image.js";
import { LockFile } from "../../src/cli/lock_file.js";
import { TSBPF, tsbpf, words } from "./_run.js";

let folder: string;
let image: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsbpf-image-"));
  image = join(folder, "kernel.image");
});
afterEach(() => rmSync(folder, { recursive: true }));

const CREATE = words("map create /sys/fs/bpf/h type hash key 4 value 4 entries 1000 name h");
const update = (key: number): string[] => words(`map update name h key ${key & 255} ${key >> 8} 0 0 value 1 2 3 4`);

/** Runs the command in a process of its own. */
function start(argv: readonly string[]): {
  pid: number | undefined;
  ended: Promise<{ status: number | null; stderr: string }>;
  kill: () => void;
} {
  const child = spawn(process.execPath, [TSBPF, "--image", image, ...argv], { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const ended = new Promise<{ status: number | null; stderr: string }>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stderr }));
  });
  return { pid: child.pid, ended, kill: () => void child.kill("SIGKILL") };
}

async function keys(): Promise<number[]> {
  const { stdout, status } = await tsbpf(["-j", "--image", image, "map", "dump", "name", "h"]);
  expect(status).toBe(0);
  const elems = JSON.parse(stdout) as { key: [string, string] }[];
  return elems.map(({ key: [low, high] }) => Number(low) + 256 * Number(high)).sort((a, b) => a - b);
}

function inImage(argv: readonly string[]): ReturnType<typeof tsbpf> {
  return tsbpf(["--image", image, ...argv]);
}

/** A lock file as a process leaves it that is gone. */
function leaveLock(path: string, pid = deadPid(), where?: string): void {
  const pidNamespace = where ?? readWhere();
  writeFileSync(path, JSON.stringify({ pid, start: "", where: pidNamespace, token: "0123456789abcdef" }));
}

/** What lock files of this process say of their host. */
function readWhere(): string {
  const path = join(folder, "probe");
  const code = `import { LockFile } from ${JSON.stringify(TSBPF.replace("main.js", "lock_file.js"))};
    import { readFileSync } from "node:fs";
    const lock = await LockFile.take(${JSON.stringify(path)}, 0);
    console.log(JSON.parse(readFileSync(${JSON.stringify(path)}, "utf8")).where);
    lock.release();`;
  return spawnSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" }).stdout.trim();
}

function deadPid(): number {
  const { pid } = spawnSync(process.execPath, ["-e", ""]);
  return pid;
}

describe("the image file", () => {
  it("takes the updates of 20 commands at once", async () => {
    expect((await inImage(CREATE)).status).toBe(0);
    const all = await Promise.all(Array.from({ length: 20 }, (_, key) => start(update(key)).ended));
    expect(all.filter(({ status }) => status !== 0)).toEqual([]);
    expect(await keys()).toEqual(Array.from({ length: 20 }, (_, key) => key));
    expect(readdirSync(folder)).toEqual(["kernel.image"]);
  });

  it("is whole after commands killed at random moments, and holds all that ended well", async () => {
    expect((await inImage(CREATE)).status).toBe(0);
    const done: number[] = [];
    for (let key = 0; key < 40; key++) {
      const { ended, kill } = start(update(key));
      // A command takes about 100 ms, half of it to start.
      await Promise.race([ended, setTimeout(30 + Math.random() * 90)]);
      kill();
      if ((await ended).status === 0) done.push(key);
      const found = await keys();
      for (const finished of done) expect(found).toContain(finished);
    }
    const last = await start(update(999)).ended;
    expect(last).toEqual({ status: 0, stderr: "" });
    expect(await keys()).toContain(999);
  });

  it("holds what each of several ended well while others are killed", async () => {
    expect((await inImage(CREATE)).status).toBe(0);
    const runs = Array.from({ length: 24 }, (_, key) => ({ key, ...start(update(key)) }));
    for (const { key, kill } of runs) {
      if (key % 3 === 0) void setTimeout(50 + Math.random() * 1000).then(kill);
    }
    const ended = await Promise.all(runs.map(async ({ key, ended: end }) => ({ key, ...(await end) })));
    const well = ended.filter(({ status }) => status === 0).map(({ key }) => key);
    for (const { key, status } of ended) if (key % 3 !== 0) expect(status).toBe(0);
    expect(await keys()).toEqual(expect.arrayContaining(well));
  });

  it("is not written by commands that change nothing", async () => {
    expect((await inImage(CREATE)).status).toBe(0);
    utimesSync(image, 1000, 1000);
    for (const form of [
      "map show",
      "map dump name h",
      "map getnext name h",
      "map lookup name h key 1 0 0 0",
      "version",
    ]) {
      await inImage(words(form));
    }
    await inImage(words("map update name h key 1 0 0 0 value 1 2 3 4 exist"));
    await inImage(words("map delete name h key 1 0 0 0"));
    await tsbpf(["--image", image, "batch", "file", "-"], {}, "map show\nversion\n");
    expect(statSync(image).mtimeMs).toBe(1_000_000);
    await inImage(update(1));
    expect(statSync(image).mtimeMs).not.toBe(1_000_000);
  });

  it("can be read while another command has it for changes", async () => {
    expect((await inImage(CREATE)).status).toBe(0);
    const held = await Image.open(image, "change");
    try {
      expect((await inImage(words("map show"))).status).toBe(0);
      await expect(Image.open(image, "change", 50)).rejects.toThrow(
        new RegExp(`cannot lock image .*kernel.image: .* is held by process ${process.pid} for more than 0.05 s`),
      );
    } finally {
      held.close();
    }
    expect((await inImage(update(1))).status).toBe(0);
  });

  it("refuses to be saved after it was opened for reading", async () => {
    const opened = await Image.open(image, "read");
    expect(() => opened.save()).toThrow("was opened for reading");
    opened.close();
  });

  it.each([
    ["cut off", (bytes: Buffer) => bytes.subarray(0, bytes.length - 100)],
    ["with a bit turned", (bytes: Buffer) => ((bytes[bytes.length - 5000]! ^= 4), bytes)],
    ["empty", () => Buffer.alloc(0)],
    ["something else", () => Buffer.from("#!/bin/sh\n".repeat(100))],
  ])("%s: an error, and left as it is", async (_, damage) => {
    expect((await inImage(CREATE)).status).toBe(0);
    const bytes = damage(readFileSync(image));
    writeFileSync(image, bytes);
    for (const argv of [["map", "show"], update(1)]) {
      const { stderr, status } = await inImage(argv);
      expect(stderr).toMatch(/^Error: cannot load image .*kernel\.image: .*move it away to begin with an empty kernel/);
      expect(status).toBe(255);
    }
    expect(readFileSync(image).equals(bytes)).toBe(true);
    expect(readdirSync(folder)).toEqual(["kernel.image"]);
  });

  it("keeps its permissions; a new one is its owner's alone", async () => {
    await inImage(CREATE);
    expect(statSync(image).mode & 0o777).toBe(0o600);
    spawnSync("chmod", ["640", image]);
    await inImage(update(1));
    expect(statSync(image).mode & 0o777).toBe(0o640);
  });

  it("a folder that is not there is named", async () => {
    const { stderr, status } = await tsbpf(["--image", join(folder, "none/kernel.image"), ...CREATE]);
    expect(stderr).toMatch(/^Error: .*none\/kernel\.image/);
    expect(status).toBe(255);
  });

  it("old leftovers of killed commands are tidied away, other files are not", async () => {
    const old = [
      "kernel.image.0123456789abcdef.tmp",
      "kernel.image.lock.0123456789abcdef.tmp",
      "kernel.image.lock.0123456789abcdef",
      "kernel.image.lock.0123456789abcdef.fedcba9876543210",
    ];
    const others = ["kernel.image.bak", "kernel.image2", "kernel.image.tmp", "kernel.image.00112233445566ff.tmp"];
    for (const name of [...old, ...others]) writeFileSync(join(folder, name), "");
    for (const name of old) utimesSync(join(folder, name), 1000, 1000);
    await inImage(CREATE);
    expect(readdirSync(folder).sort()).toEqual(["kernel.image", ...others].sort());
  });
});

describe("the lock file", () => {
  it("of a process that is gone is taken over, also where a taking over was cut short", async () => {
    leaveLock(`${image}.lock`);
    leaveLock(`${image}.lock.0123456789abcdef`);
    leaveLock(`${image}.lock.0123456789abcdef.0123456789abcdef`);
    expect(await inImage(CREATE)).toEqual({ stdout: "", stderr: "", status: 0 });
    expect(existsSync(`${image}.lock`)).toBe(false);
  });

  it("of a later process with the same pid is not taken for its holder's", async () => {
    const found = { pid: process.pid, start: "another boot 1", where: readWhere(), token: "0123456789abcdef" };
    writeFileSync(`${image}.lock`, JSON.stringify(found));
    if (existsSync("/proc/self/stat")) expect((await inImage(CREATE)).status).toBe(0);
  });

  it.each(["", "no JSON", "{}", '{"pid":-1,"token":"0123456789abcdef"}'])(
    "that says nothing (%j) is taken over",
    async (text) => {
      writeFileSync(`${image}.lock`, text);
      expect((await inImage(CREATE)).status).toBe(0);
    },
  );

  it("of a process elsewhere is waited for, and told", async () => {
    leaveLock(`${image}.lock`, 1, "elsewhere pid:[1]");
    await expect(LockFile.take(`${image}.lock`, 30)).rejects.toThrow(
      "is held by process 1 of elsewhere pid:[1] for more than 0.03 s (when that process is gone, remove the file)",
    );
    expect(readWhere()).toContain(hostname());
  });

  it("is had by one process at a time, though each dies with it in hand", async () => {
    // Each worker takes the lock, notes that it is alone, and is killed before it gives it back.
    const counter = join(folder, "counter");
    writeFileSync(counter, "");
    const worker = fileURLToPath(new URL("./_lock_worker.mjs", import.meta.url));
    const run = (): Promise<number | null> =>
      new Promise((resolve) => {
        const child = spawn(process.execPath, [
          worker,
          TSBPF.replace("main.js", "lock_file.js"),
          `${image}.lock`,
          counter,
        ]);
        child.on("close", (code) => resolve(code));
      });
    const codes = await Promise.all(Array.from({ length: 16 }, run));
    expect(codes.every((code) => code === null)).toBe(true);
    const notes = readFileSync(counter, "utf8").trim().split("\n");
    // Each worker's two notes follow each other: nobody came in between.
    expect(notes).toHaveLength(32);
    for (let at = 0; at < notes.length; at += 2) expect(notes[at + 1]).toBe(notes[at]?.replace("in", "out"));
  });
});
