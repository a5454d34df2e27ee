import { configDefaults, defineConfig } from "vitest/config";

/** Compare lists of all maps and all BTF on the machine, which other suites keep changing. */
const alone = ["test/cli/bpftool.test.ts", "test/cli/bpftool_btf.test.ts", "test/cli/bpftool_prog.test.ts"];

export default defineConfig({
  test: {
    pool: "forks",
    // Two cores, and suites that start threads of their own.
    maxWorkers: 2,
    testTimeout: 300_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: "suite",
          include: ["test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...alone],
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "no eval",
          include: ["test/codec/**/*.test.ts"],
          // As in a page whose content security policy forbids code made at run time.
          execArgv: ["--disallow-code-generation-from-strings"],
          sequence: { groupOrder: 0 },
        },
      },
      { extends: true, test: { name: "alone", include: alone, sequence: { groupOrder: 1 } } },
    ],
  },
});
