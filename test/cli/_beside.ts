/**
 * A form of the command, given to bpftool and to `tsbpf --bpftool --kernel linux`, in text, with -j and with -p: the same
 * standard output, standard error and exit status, byte for byte.
 *
 * Not compared, because bpftool has no answer of its own to compare with: the text of help (ours tells of our commands),
 * lines that its library adds on standard error ("libbpf: ..."),
 * and the order in which several names of one map, or several maps of one BTF, are listed (an accident of its hash table).
 * How long a program ran is never compared. Where each tool has its own maps and programs, their ids, when they were loaded, and what memory
 * they take are left out too.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { expect } from "vitest";
import { bpftool, mountBpffs, tsbpf, whyNoBpftool, words, type Ran } from "./_run.js";

const MODES: readonly string[][] = [[], ["-j"], ["-p"]];
const LINUX = { TSBPF_KERNEL: "linux" };

/** One of the tools. In forms, {d} is its folder in a bpffs, and {n} begins the names of its maps. */
export interface Side {
  readonly d: string;
  readonly n: string;
  run(argv: readonly string[], input: string): Ran | Promise<Ran>;
}

/** Both tools. */
export interface Beside {
  readonly ours: Side;
  readonly theirs: Side;
  /** Runs a form in text, -j and -p; each tool on its own maps. */
  bothOnTheirOwn(form: string, input?: string): Promise<void>;
  /** Runs a form in text, -j and -p; both on bpftool's maps, so that nothing may differ. */
  bothOnTheSame(form: string, input?: string): Promise<void>;
  /**
   * Runs a form with -j that lists all objects of the machine, which come and go with other programs: what bpftool says of
   * one, before and after, must be ours too.
   */
  bothList(form: string): Promise<void>;
  /** Has bpftool run a form that must succeed, on its own maps. */
  setUp(form: string): void;
  unmount(): void;
}

/** Why the tools cannot be compared here; undefined when they can. In CI they must. */
export function whyNotBeside(): string | undefined {
  const why = whyNoBpftool();
  if (why !== undefined && process.env.CI) throw new Error(`The comparison with bpftool must run in CI: ${why}`);
  if (why !== undefined) console.warn(`The comparison with bpftool is skipped: ${why}`);
  return why;
}

/** Makes a bpffs with a folder for each of the tools. */
export function besideBpftool(): Beside {
  const bpffs = mountBpffs();
  const tag = process.pid.toString(36).slice(-4);
  const ours: Side = {
    d: join(bpffs.folder, "ours"),
    n: `o${tag}`,
    run: (argv, input) => tsbpf(["--bpftool", ...argv], LINUX, input),
  };
  const theirs: Side = { d: join(bpffs.folder, "them"), n: `t${tag}`, run: bpftool };
  for (const { d } of [ours, theirs]) mkdirSync(d);

  return {
    ours,
    theirs,
    async bothOnTheirOwn(form, input = "") {
      for (const mode of MODES) {
        const run = async (side: Side): Promise<Ran> =>
          normalize(await side.run([...mode, ...words(fill(form, side))], fill(input, side)), side);
        expect(await run(ours), `${mode.join("")} ${form} ${input}`).toEqual(await run(theirs));
      }
    },
    /*
     * Both look through all maps of the machine for a name, and fail over one that goes meanwhile: where other programs make
     * and drop maps, both must answer the same at some time.
     */
    async bothOnTheSame(form, input = "") {
      for (const mode of MODES) {
        const argv = [...mode, ...words(fill(form, theirs))];
        const run = async (side: Side): Promise<Ran> => comparable(await side.run(argv, fill(input, theirs)));
        let [wanted, got] = [await run(theirs), await run(ours)];
        for (let attempt = 1; attempt < 20 && !isDeepStrictEqual(got, wanted); attempt++) {
          [wanted, got] = [await run(theirs), await run(ours)];
        }
        expect(got, `${mode.join("")} ${form} ${input}`).toEqual(wanted);
      }
    },
    async bothList(form) {
      const list = async (side: Side): Promise<string[]> => {
        const { stdout, stderr, status } = comparable(await side.run(["-j", ...words(form)], ""));
        expect([stderr, status], form).toEqual(["", 0]);
        return stdout.split(/(?<=\}),(?=\{)|^\[|\]\n$/).filter((object) => object !== "");
      };
      const [before, got, after] = [await list(theirs), await list(ours), new Set(await list(theirs))];
      const wanted = before.filter((object) => after.has(object));
      expect(wanted.length).toBeGreaterThan(0);
      expect(wanted.filter((object) => !got.includes(object))).toEqual([]);
    },
    setUp(form) {
      const ran = bpftool(words(fill(form, theirs)));
      expect(ran, form).toMatchObject({ status: 0 });
    },
    unmount: () => bpffs.unmount(),
  };
}

/** Puts a tool's folder and names into a form. */
export function fill(text: string, side: Side): string {
  return text.replaceAll("{d}", side.d).replaceAll("{n}", side.n);
}

/** What has no answer of bpftool's own is made the same. */
function comparable(ran: Ran): Ran {
  const sorted = (list: string): string => list.split(",").sort().join(",");
  const stdout = ran.stdout
    .replace(/(\tpinned .*\n)+/g, (lines) => lines.split("\n").sort().join("\n"))
    .replace(/(?<="pinned": ?\[)("[^\]]*"(,"[^\]]*")*)/g, sorted)
    .replace(/(?<=(?:"(?:map|prog)_ids": ?\[|  (?:map|prog)_ids ))[\d,]+/g, sorted)
    .replace(/(?<=duration( \(average\))?: )\d+(?=ns$)/gm, "T")
    .replace(/(?<="duration": ?)\d+/g, "T");
  const stderr = ran.stderr.replace(/^libbpf: .*-- BEGIN PROG LOAD LOG --\n.*?-- END PROG LOAD LOG --\n/gms, "");
  return { ...ran, stdout, stderr: stderr.replace(/^libbpf: .*\n/gm, "").replace(/Usage: .*/s, "Usage") };
}

/** What must differ where each tool has its own maps. */
function normalize(ran: Ran, side: Side): Ran {
  const text = (output: string): string =>
    output
      .replaceAll(side.d, "{d}")
      .replaceAll(side.n, "{n}")
      .replace(/^\d+: /gm, "ID: ")
      .replace(/"id":( ?)\d+/g, '"id":$1ID')
      .replace(/(?<=loaded_at )\S+/g, "T")
      .replace(/(?<="loaded_at": ?)\d+/g, "T")
      .replace(/(?<=(?:map_ids|btf_id) )[\d,]+/g, "ID")
      .replace(/(?<="map_ids": ?\[)[\d,]+/g, "ID")
      .replace(/(?<="btf_id": ?)\d+/g, "ID")
      .replace(/map\[id:\d+\]/g, "map[id:ID]")
      .replace(/memlock \d+B/g, "memlock MB")
      .replace(/"bytes_memlock":( ?)\d+/g, '"bytes_memlock":$1M');
  const { stdout, stderr, status } = comparable(ran);
  return { stdout: text(stdout), stderr: text(stderr), status };
}
