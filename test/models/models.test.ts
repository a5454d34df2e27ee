/**
 * The protocols of the embedded kernel, model-checked: each .pml file of this folder says what it stands for. Spin visits every
 * interleaving and every death; a run must end without an error and must not have been cut short. Then each bug that can be
 * planted in the model (BUG_...) must be found, the way it says.
 *
 * Where spin or gcc is not to be had, this is skipped and the reason printed; in CI that is a failure.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const here = fileURLToPath(new URL(".", import.meta.url));

/** What spin says of a planted bug: a check of the model failed, or somebody waits for ever. */
type Complaint = "assertion violated" | "invalid end state";

interface Model {
  /** The macros of each run that must be clean. */
  readonly runs: readonly (readonly string[])[];
  /** A planted bug: what spin must say, and the macros of the run beside the bug's own. */
  readonly bugs: Readonly<Record<string, readonly [complaint: Complaint, ...macros: string[]]>>;
}

const models: Readonly<Record<string, Model>> = {
  lock: {
    runs: [[], ["NO_TIMEOUTS"]],
    bugs: {
      BUG_INTENT_LATE: ["invalid end state"],
      BUG_NO_OWNER_CHECK: ["assertion violated"],
      BUG_REDO_LATE: ["assertion violated"],
      BUG_FORGET_WAITERS: ["invalid end state", "NO_TIMEOUTS"],
      BUG_REAPER_SILENT: ["invalid end state", "NO_TIMEOUTS"],
    },
  },
  lock_nested: {
    runs: [[]],
    bugs: {
      BUG_INTENT_LATE: ["invalid end state"],
      BUG_CLEAR_EARLY: ["invalid end state"],
      BUG_OUTER_FIRST: ["assertion violated"],
    },
  },
  line: {
    runs: [[], ["NO_DEATH"], ["ONE_WORD"], ["ONE_WORD", "NO_DEATH"]],
    bugs: {
      BUG_COPY_WHILE_EVEN: ["assertion violated"],
      BUG_COPY_OVERTAKES: ["assertion violated"],
      BUG_TAG_FIRST: ["assertion violated"],
      BUG_BUMP_FIRST: ["assertion violated"],
      BUG_NO_BUMP: ["assertion violated", "ONE_WORD"],
      BUG_NO_SECOND_LOOK: ["assertion violated"],
      BUG_REPAIR_WHILE_EVEN: ["assertion violated"],
      BUG_REPAIR_NO_BUMP: ["assertion violated"],
    },
  },
  pair: {
    runs: [[]],
    bugs: {
      BUG_NO_SECOND_LOOK: ["assertion violated"],
      BUG_READ_FIRST: ["assertion violated"],
      BUG_NOT_MADE_ANOTHERS: ["assertion violated"],
      BUG_KEY_OF_THIS_LINE: ["assertion violated", "BUMP_LATE"],
    },
  },
  full: {
    runs: [[]],
    bugs: {
      BUG_NO_FIRST_LOOK: ["assertion violated"],
      BUG_NO_SECOND_LOOK: ["assertion violated"],
      BUG_NO_THIRD_LOOK: ["assertion violated"],
      BUG_NO_SEQ: ["assertion violated"],
    },
  },
  overflow: {
    runs: [[], ["REAPER_LIVES"]],
    bugs: {
      BUG_SPARE_LATE: ["assertion violated"],
      BUG_FREE_WITHOUT_SPARE: ["assertion violated"],
      BUG_BUMP_LATE: ["assertion violated"],
      BUG_REPAIR_NO_BUMP: ["assertion violated"],
      BUG_NO_CHAIN_CHECK: ["assertion violated"],
      BUG_NO_HOME_CHECK: ["assertion violated"],
    },
  },
  count: {
    runs: [[], ["REAPER_DIES"]],
    bugs: {
      BUG_ACK_FORGOTTEN: ["assertion violated"],
      BUG_ACK_STALE: ["assertion violated"],
      BUG_ACK_MODULO: ["assertion violated", "ROUNDS=4"],
      BUG_REAPER_ACK_FIRST: ["assertion violated"],
      BUG_KIND_FIRST: ["assertion violated"],
      BUG_NO_UNDO_RECORD: ["assertion violated", "REAPER_DIES"],
    },
  },
  fd: {
    runs: [[]],
    bugs: {
      BUG_NO_SECOND_LOOK: ["assertion violated"],
      BUG_COLLECT_BLINDLY: ["assertion violated"],
      BUG_USING_PLAIN: ["assertion violated"],
      BUG_CLOSE_PLAIN: ["assertion violated"],
      BUG_USING_NOT_CLEARED: ["assertion violated"],
      BUG_NO_RECOUNT: ["assertion violated"],
    },
  },
  trie: {
    runs: [[], ["STAYS"]],
    bugs: {
      BUG_NO_SEQ: ["assertion violated"],
      BUG_GIVE_FIRST: ["assertion violated"],
      BUG_FILL_LATE: ["assertion violated"],
      BUG_FOLLOW_BLINDLY: ["assertion violated"],
      BUG_NO_LAST_LOOK: ["assertion violated"],
      BUG_REPAIR_WHILE_EVEN: ["assertion violated"],
      BUG_REPAIR_NO_BUMP: ["assertion violated"],
    },
  },
  lru: {
    runs: [[], ["NO_DEATH"]],
    bugs: {
      BUG_HOLD_BOTH: ["invalid end state", "NO_DEATH"],
      BUG_NO_SECOND_LOOK: ["assertion violated", "NO_DEATH"],
      BUG_ROOM_IS_MINE: ["assertion violated", "NO_DEATH"],
      BUG_COUNT_FIRST: ["assertion violated", "NO_DEATH"],
      BUG_IMPATIENT: ["assertion violated", "NO_DEATH"],
      BUG_NOT_SETTLED: ["assertion violated"],
    },
  },
  ringbuf: {
    runs: [[], ["NO_DEATH"]],
    bugs: {
      BUG_NO_LOCK: ["assertion violated", "NO_DEATH"],
      BUG_PUBLISH_FIRST: ["assertion violated"],
      BUG_SUBMIT_FIRST: ["assertion violated"],
      BUG_WAKE_FIRST: ["assertion violated"],
      BUG_SKIP_BUSY: ["assertion violated"],
      BUG_RELEASE_EARLY: ["assertion violated"],
      BUG_RELEASE_LATE: ["assertion violated"],
      BUG_ARM_LATE: ["assertion violated"],
      BUG_SLEEP_UNARMED: ["assertion violated"],
      BUG_DISCARD_ALL: ["assertion violated"],
      BUG_LEFT_BUSY: ["assertion violated"],
      BUG_REAPER_SILENT: ["assertion violated"],
    },
  },
  gate: {
    runs: [[], ["NO_DEATH"]],
    bugs: {
      BUG_GATE_BEFORE: ["assertion violated", "NO_DEATH"],
      BUG_PLAIN_LOCK: ["assertion violated", "NO_DEATH"],
      BUG_CLEAR_EARLY: ["assertion violated", "NO_DEATH"],
      BUG_STILL_PLAIN: ["assertion violated", "NO_DEATH"],
      BUG_INNER_LOOKS: ["invalid end state", "NO_DEATH"],
      BUG_SKIP_DEAD: ["assertion violated"],
      BUG_REAPER_TAKES_TABLES: ["invalid end state"],
      BUG_STILL_LEFT: ["invalid end state"],
    },
  },
};

/** Deeper than any of the models goes. */
const maxDepth = 10_000;
/** More than any of them needs. */
const maxMebibytes = 1500;

/** Why models can't be checked here; undefined when they can. */
const missing: string | undefined = (() => {
  const absent = ["spin -V", "gcc --version"].filter((command) => {
    const [tool = "", flag = ""] = command.split(" ");
    return spawnSync(tool, [flag]).error !== undefined;
  });
  if (absent.length === 0) return undefined;
  const reason = `cannot run ${absent.map((command) => `"${command}"`).join(" nor ")}`;
  if (process.env["CI"] !== undefined) throw new Error(`Models are checked in CI: ${reason}`);
  console.warn(`test/models is skipped: ${reason}`);
  return reason;
})();

/** Runs a program in a folder and returns what it printed. */
function run(folder: string, program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd: folder,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${basename(program)} ended with ${status}: ${stdout}${stderr}`);
  return stdout;
}

/**
 * Has spin search a model's whole state space. Returns pan's report, with the way to the error if there is one.
 *
 * @param optimize gcc's level: -O0 where compiling takes longer than the search, which ends at the first error
 */
function check(name: string, macros: readonly string[], optimize: "-O0" | "-O1"): string {
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-model-"));
  try {
    const file = `${name}.pml`;
    const defines = macros.map((macro) => `-D${macro}`);
    copyFileSync(join(here, file), join(folder, file));
    run(folder, "spin", ...defines, "-a", file);
    run(folder, "gcc", optimize, "-w", "-DSAFETY", `-DMEMLIM=${maxMebibytes}`, "-o", "pan", "pan.c");
    const report = run(folder, join(folder, "pan"), `-m${maxDepth}`);
    if (!readdirSync(folder).includes(`${file}.trail`)) return report;
    return `${report}\n${run(folder, "spin", ...defines, "-t", "-p", file)}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test("every model is run, and every bug that can be planted is", () => {
  const files = readdirSync(here).filter((file) => file.endsWith(".pml"));
  expect(files.map((file) => basename(file, ".pml")).sort()).toEqual(Object.keys(models).sort());
  for (const [name, { bugs }] of Object.entries(models)) {
    const source = readFileSync(join(here, `${name}.pml`), "utf8");
    const planted = source.match(/^#\s*(?:if|elif).*/gm)?.flatMap((line) => line.match(/BUG_\w+/g) ?? []);
    expect([...new Set(planted)].sort(), name).toEqual(Object.keys(bugs).sort());
  }
});

describe.skipIf(missing !== undefined).each(Object.entries(models))("%s", (name, { runs, bugs }) => {
  for (const macros of runs) {
    test(["holds", ...macros].join(" "), () => {
      const report = check(name, macros, "-O1");
      expect(report).toMatch(/errors: 0$/m);
      expect(report).not.toMatch(/max search depth too small|Search not completed|reached -DMEMLIM bound/);
    });
  }

  for (const [bug, [complaint, ...macros]] of Object.entries(bugs)) {
    test([bug, ...macros, "is found"].join(" "), () => {
      const report = check(name, [bug, ...macros], "-O0");
      expect(report).toMatch(/errors: 1$/m);
      expect(report).toMatch(new RegExp(`^pan:1: ${complaint}`, "m"));
    });
  }
});
