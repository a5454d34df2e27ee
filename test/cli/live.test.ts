/**
 * map top and map watch: what they draw, the lines that they write, and how they end.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Io } from "../../src/cli/output.js";
import { drawTop, formatBytes, formatRate, sparkline, SORTS, type TopRow } from "../../src/cli/top_table.js";
import { TSBPF, mountBpffs, tsbpf, whyNoLinux, words, type Ran } from "./_run.js";

let folder: string;
let env: Record<string, string>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "tsbpf-live-"));
  env = { TSBPF_IMAGE: join(folder, "kernel.image") };
});
afterEach(() => rmSync(folder, { recursive: true }));

async function run(...forms: string[]): Promise<void> {
  for (const form of forms) expect(await tsbpf(words(form), env), form).toMatchObject({ status: 0 });
}

/** Runs a live view. Between two looks, the next of `meanwhile` is done; after the last the user ends it. */
function view(form: string, meanwhile: (() => Promise<void>)[], io: Partial<Io> = {}): Promise<Ran> {
  const steps = [...meanwhile];
  const live = {
    async pause(): Promise<boolean> {
      const step = steps.shift();
      await step?.();
      return step === undefined;
    },
    close() {},
  };
  return tsbpf(words(form), env, "", { live: () => live, ...io });
}

function lines(ran: Ran): unknown[] {
  expect(ran).toMatchObject({ stderr: "", status: 0 });
  return ran.stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as unknown);
}

const HASH = "map create /sys/fs/bpf/h type hash key 1 value 1 entries 4 name flows";

describe("map top", () => {
  const row = (fields: Partial<TopRow>): TopRow => ({
    id: 1,
    type: "hash",
    name: "flows",
    count: 3,
    atLeast: undefined,
    maxEntries: 4,
    pressure: 0.75,
    memlock: 1360,
    rates: { added: 1, changed: 2.5, deleted: 0 },
    history: [0, 1, 7],
    ...fields,
  });
  const ROWS = [
    row({}),
    row({ id: 12, type: "percpu_array", name: "", count: 8, maxEntries: 8, pressure: undefined, rates: undefined }),
    row({
      id: 3,
      name: "b",
      count: undefined,
      atLeast: 10_000,
      maxEntries: 1e6,
      pressure: undefined,
      rates: undefined,
    }),
    row({ id: 4, type: "queue", name: "c", count: undefined, pressure: undefined, memlock: undefined, history: [] }),
  ];
  const style = {
    kernel: "linux",
    at: new Date("2026-11-25T13:00:01.5Z"),
    sort: "rate",
    columns: undefined,
    paint: (text: string) => text,
  };

  it("draws a line a map", () => {
    expect(drawTop(ROWS, style)).toEqual([
      "13:00:01 UTC, kernel linux: 4 maps, 4.0K, by rate",
      "ID  TYPE          NAME    COUNT      MAX  FULL  MEMLOCK  +/S  ~/S  -/S  CHANGES",
      " 1  hash          flows       3        4   75%     1.3K    1  2.5    0  ▁▂█",
      "12  percpu_array              8        8     -     1.3K    -    -    -  ▁▂█",
      " 3  hash          b      10000+  1000000     -     1.3K    -    -    -  ▁▂█",
      " 4  queue         c           -        4     -        -    1  2.5    0",
    ]);
    expect(drawTop([], style)).toHaveLength(2);
  });

  it("cuts lines where the terminal ends, the sparkline first", () => {
    for (const columns of [200, 80, 74, 72, 40, 5]) {
      for (const line of drawTop(ROWS, { ...style, columns })) expect(line.length).toBeLessThanOrEqual(columns);
    }
    expect(drawTop(ROWS, { ...style, columns: 74 })[2]).toBe(
      " 1  hash          flows       3        4   75%     1.3K    1  2.5    0  ▂█",
    );
  });

  it("paints maps that are nearly full", () => {
    const paint = (text: string, color: string): string => `<${color}>${text.trim()}</>`;
    const painted = drawTop([row({}), row({ pressure: 0.9 }), row({ pressure: 0.2, history: [] })], {
      ...style,
      paint,
    });
    expect(painted.map((line) => line.replace(/ {2,}/g, " "))).toEqual([
      "<bold>13:00:01 UTC, kernel linux: 3 maps, 4.0K, by rate</>",
      "<inverse>ID TYPE NAME COUNT MAX FULL MEMLOCK +/S ~/S -/S CHANGES</>",
      "<yellow>1 hash flows 3 4 75% 1.3K 1 2.5 0</> <cyan>▁▂█</>",
      "<red>1 hash flows 3 4 90% 1.3K 1 2.5 0</> <cyan>▁▂█</>",
      " 1 hash flows 3 4 20% 1.3K 1 2.5 0",
    ]);
  });

  it("sorts by each field", () => {
    const sorted = (field: keyof typeof SORTS): number[] => [...ROWS].sort(SORTS[field]).map(({ id }) => id);
    expect(sorted("id")).toEqual([1, 3, 4, 12]);
    expect(sorted("rate")).toEqual([1, 4, 3, 12]);
    expect(sorted("pressure")).toEqual([1, 3, 4, 12]);
    expect(sorted("count")).toEqual([3, 12, 1, 4]);
    expect(sorted("memlock")).toEqual([1, 3, 12, 4]);
    expect(sorted("name")).toEqual([12, 3, 4, 1]);
    expect(sorted("type")).toEqual([1, 3, 12, 4]);
  });

  it("writes numbers short", () => {
    expect([0, 999, 1024, 1360, 1 << 20, 5e12].map(formatBytes)).toEqual(["0", "999", "1K", "1.3K", "1M", "4.5T"]);
    expect([undefined, 0, 0.5, 12, 12_345, 2e6].map(formatRate)).toEqual(["-", "0", "0.5", "12", "12.3k", "2M"]);
    expect(sparkline([1, 2, 4, 8], 3)).toBe("▃▅█");
    expect(sparkline([0, 0], 3)).toBe("▁▁");
    expect(sparkline([1], 0)).toBe("");
  });

  it("--json: a line a look, with what changed in between", async () => {
    await run(HASH, "map create /sys/fs/bpf/a type array key 4 value 4 entries 2 name counts");
    const ran = await view("-j map top interval 0.02", [
      () => run("map update name flows key 1 value 1", "map update name flows key 2 value 1"),
      () => run("map update name flows key 1 value 2", "map delete name flows key 2"),
    ]);
    const looks = lines(ran) as { kernel: string; maps: Record<string, unknown>[] }[];
    expect(looks.map(({ kernel, maps }) => [kernel, maps.length])).toEqual([
      ["embedded", 2],
      ["embedded", 2],
      ["embedded", 2],
    ]);
    const flows = looks.map(({ maps }) => maps.find(({ name }) => name === "flows")!);
    expect(flows.map(({ count, pressure, max_entries }) => [count, pressure, max_entries])).toEqual([
      [0, 0, 4],
      [2, 0.5, 4],
      [1, 0.25, 4],
    ]);
    expect(flows[0]).toMatchObject({ id: 1, type: "hash", added_per_second: null, deleted_per_second: null });
    const [, second, third] = flows;
    expect(second!.added_per_second).toBeGreaterThan(0);
    expect([second!.changed_per_second, second!.deleted_per_second, third!.added_per_second]).toEqual([0, 0, 0]);
    expect(third!.changed_per_second).toBeGreaterThan(0);
    expect(third!.deleted_per_second).toBe(third!.changed_per_second);
    expect(looks[0]!.maps.find(({ name }) => name === "counts")).toMatchObject({ count: 2, pressure: null });
  });

  it("--once looks once; a MAP is shown alone; maps above the limit are not read whole", async () => {
    await run(HASH, "map create /sys/fs/bpf/q type queue key 0 value 4 entries 2 name q");
    for (const key of [1, 2, 3]) await run(`map update name flows key ${key} value 1`);
    const once = await tsbpf(words("--once map top name flows"), env);
    expect(once.stdout.split("\n")).toHaveLength(4);
    expect(once.stdout).toMatch(/ 1 {2}hash {2}flows {6}3 {4}4 {3}75% .* - {4}- {4}-\n$/);
    // The embedded kernel knows the count without reading all.
    const ran = await view("-j map top limit 2 sort id count 2", [() => Promise.resolve()]);
    expect(lines(ran)[1]).toMatchObject({
      maps: [
        { count: 3, pressure: 0.75, added_per_second: null },
        { name: "q", count: 0, pressure: 0 },
      ],
    });
    expect(lines(await tsbpf(words("-j map top limit 0 count 1 id 1"), env))).toMatchObject([{ maps: [{ count: 3 }] }]);
  });

  it("draws in place on a terminal, in its width, and leaves the last frame behind", async () => {
    await run(HASH);
    const terminal = { columns: 60, rows: 3 };
    const nothing = (): Promise<void> => Promise.resolve();
    const { stdout } = await view("map top", [nothing], { terminal });
    const [before, first, second, after] = stdout.split(/\u001b\[H|\u001b\[\?25h/); // oxlint-disable-line no-control-regex -- that is what is drawn with
    expect(before).toBe("\u001b[?1049h\u001b[?25l");
    expect(first!.split("\n")).toHaveLength(3);
    expect(second!.endsWith("\u001b[J")).toBe(true);
    expect(after!.startsWith("\u001b[?1049l")).toBe(true);
    expect(after!.split("\n")).toHaveLength(4);
    expect(first).toContain("\u001b[1m");
    env.NO_COLOR = "1";
    expect((await view("map top", [nothing], { terminal })).stdout).not.toContain("\u001b[1m");
    expect((await view("--once map top", [], { terminal })).stdout).not.toContain("\u001b");
    env.TERM = "dumb";
    expect((await view("map top", [nothing], { terminal })).stdout).not.toContain("\u001b");
  });

  it("says what is wrong", async () => {
    const wrong: [form: string, message: string][] = [
      ["map top foo", "what is 'foo'?"],
      ["map top sort size", "cannot sort by 'size': expected rate, pressure, count, memlock, id, name, type"],
      ["map top interval 0", "interval out of range 0.02..86400 seconds: 0"],
      ["map top interval x", "interval out of range 0.02..86400 seconds: x"],
      ["map top count 0", "count out of range 1..4294967295: 0"],
      ["map top interval", "'interval' needs an argument"],
      ["map top name nosuch", "no map has the name 'nosuch'"],
    ];
    for (const [form, message] of wrong) {
      expect(await tsbpf(words(form), env), form).toEqual({ stdout: "", stderr: `Error: ${message}\n`, status: 255 });
    }
  });

  it("is not for batches", async () => {
    await run(HASH);
    for (const command of ["map top count 1", "map watch name flows"]) {
      const ran = await tsbpf(words("-j batch file -"), env, command);
      expect(JSON.parse(ran.stdout)).toMatchObject([{ output: { error: "live views are not for batches" } }]);
    }
  });

  it("ends with a signal, and with a reader that goes away", async () => {
    for (const end of ["SIGINT", "SIGTERM", undefined] as const) {
      const child = spawn(process.execPath, [TSBPF, "map", "top", "interval", "0.05"], {
        env: { ...process.env, ...env },
        stdio: ["ignore", "pipe", "inherit"],
      });
      const ended = new Promise((resolve) => child.on("close", (status, signal) => resolve([status, signal])));
      await new Promise((resolve) => child.stdout.once("data", resolve));
      if (end === undefined) child.stdout.destroy();
      else child.kill(end);
      expect(await ended, end).toEqual([0, null]);
    }
  });
});

describe("map watch", () => {
  it("--json: a line a change", async () => {
    await run(HASH, "map update name flows key 1 value 1", "map update name flows key 2 value 2");
    const ran = await view("-j map watch name flows", [
      () =>
        run(
          "map update name flows key 1 value 5",
          "map delete name flows key 2",
          "map update name flows key 3 value 3",
        ),
      () => Promise.resolve(),
      () => run("map delete name flows key 3"),
    ]);
    const time = expect.stringMatching(/^20..-..-..T..:..:..\....Z$/) as unknown;
    const all = lines(ran);
    expect(all).toHaveLength(4);
    expect(all).toEqual(
      expect.arrayContaining([
        { time, id: 1, change: "deleted", key: ["0x02"], old_value: ["0x02"] },
        { time, id: 1, change: "changed", key: ["0x01"], old_value: ["0x01"], value: ["0x05"] },
        { time, id: 1, change: "added", key: ["0x03"], value: ["0x03"] },
        { time, id: 1, change: "deleted", key: ["0x03"], old_value: ["0x03"] },
      ]),
    );
  });

  it("tells changes in text, in color on a terminal", async () => {
    await run(HASH, "map update name flows key 1 value 1");
    const change = (): Promise<void> => run("map update name flows key 1 value 5");
    const { stdout } = await view("map watch name flows", [change]);
    expect(stdout).toMatch(/^\d\d:\d\d:\d\d\.\d\d\d ~ key: 01 {2}value: 01 -> 05\n$/);
    const deleted = await view("map watch name flows", [() => run("map delete name flows key 1")], {
      terminal: { columns: 80, rows: 24 },
    });
    expect(deleted.stdout.slice(13)).toBe("\u001b[31m- key: 01  value: 05\u001b[0m\n");
  });

  it("of per-CPU maps, all values", async () => {
    await run("map create /sys/fs/bpf/p type percpu_hash key 1 value 1 entries 2 name p");
    const add = (): Promise<void> => run("map update name p key 1 value 7");
    const { stdout } = await view("map watch name p", [add]);
    expect(stdout.slice(13)).toBe(`+ key: 01  value: ${Array(8).fill("07").join(" | ")}\n`);
    const [line] = lines(await view("-j map watch name p", [() => run("map delete name p key 1")]));
    expect(line).toMatchObject({ change: "deleted", old_values: Array.from({ length: 8 }, () => ["0x07"]) });
  });

  it("ends when the map is gone, or too large", async () => {
    await run(HASH, "map update name flows key 1 value 1", "map update name flows key 2 value 1");
    expect(await tsbpf(words("map watch name flows limit 1 count 1"), env)).toMatchObject({
      stderr: "Error: map 1 has more than 1 elements: say 'limit 0' to read them all at each look\n",
      status: 255,
    });
    const gone = await view("-j map watch id 1", [() => run("map unpin /sys/fs/bpf/h")]);
    expect(gone).toEqual({ stdout: '{"error":"map 1 is gone"}\n', stderr: "", status: 255 });
  });

  it("says what is wrong", async () => {
    await run("map create /sys/fs/bpf/q type queue key 0 value 4 entries 2 name q");
    expect((await tsbpf(words("map watch name q"), env)).stderr).toBe(
      "Error: cannot watch map 1: a queue has no keys\n",
    );
    expect((await tsbpf(words("map watch name q foo"), env)).stderr).toBe("Error: what is 'foo'?\n");
    expect((await tsbpf(words("map watch"), env)).stderr).toBe("Error: 'watch' needs at least 2 arguments, 0 found\n");
  });
});

describe.skipIf(whyNoLinux() !== undefined)("map top and map watch on the Linux kernel", () => {
  it.each(["hash", "lru_hash", "percpu_hash", "lpm_trie"])("%s", async (type) => {
    const bpffs = mountBpffs();
    try {
      env.TSBPF_KERNEL = "linux";
      const map = `pinned ${bpffs.folder}/m`;
      const flags = type === "lpm_trie" ? "flags 1" : "";
      await run(`map create ${bpffs.folder}/m type ${type} key 8 value 8 entries 4000 name live ${flags}`);
      const key = (at: number): string => `key 32 0 0 0 ${at >> 8} ${at & 255} 0 0`;
      await run(`map update ${map} ${key(1)} value 1 2 3 4 5 6 7 8`);
      const update = (): Promise<void> =>
        run(`map update ${map} ${key(300)} value 1 2 3 4 5 6 7 8`, `map delete ${map} ${key(1)}`);
      const looks = lines(await view(`-j map top ${map}`, [update])) as { maps: Record<string, number>[] }[];
      expect(looks.map(({ maps }) => [maps.length, maps[0]!.count])).toEqual([
        [1, 1],
        [1, 1],
      ]);
      expect(looks[1]!.maps[0]!.added_per_second).toBeGreaterThan(0);
      expect(looks[1]!.maps[0]!.added_per_second).toBe(looks[1]!.maps[0]!.deleted_per_second);
      await run(`map update ${map} ${key(2)} value 1 2 3 4 5 6 7 8`);
      expect(lines(await tsbpf(words(`-j map top ${map} limit 1 count 1`), env))).toMatchObject([
        { maps: [{ count: null, count_at_least: 1, pressure: null }] },
      ]);
      const changes = lines(await view(`-j map watch ${map}`, [() => run(`map delete ${map} ${key(300)}`)]));
      expect(changes).toMatchObject([{ change: "deleted" }]);
    } finally {
      bpffs.unmount();
    }
  });
});
