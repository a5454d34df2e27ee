/**
 * Every block of code in README.md and in the pages of docs/ for users runs: TypeScript is compiled and run as it stands, with what its comments say it
 * prints; shell commands run in the checkout, which is installed and built already (.ci/run does that).
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { whyNoLinux } from "./kernels.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = join(root, "build", "readme");
const mapPages = readdirSync(join(root, "docs", "maps")).map((name) => `docs/maps/${name}`);
const pages = ["README.md", "docs/btf.md", "docs/cli.md", "docs/programs.md", ...mapPages];
const blocks = pages.flatMap((page) =>
  [...readFileSync(join(root, page), "utf8").matchAll(/^```(\w*)\n(.*?)^```/gms)].map(
    ([, language = "", code = ""], i) => ({ language, code, name: `${page}, block ${i + 1}: ${code.split("\n")[0]}` }),
  ),
);
const typescript = blocks.filter(({ language }) => language === "ts");
const shell = blocks.filter(({ language }) => language === "sh");

/** What a block says it prints: the comments behind console.log, and those that follow it on lines of their own. */
function promised(code: string): string[] {
  return [...code.matchAll(/console\.log\(.*\); \/\/ (.*)$|^ +\/\/ (.*)$/gm)].map(([, beside, below]) =>
    (beside ?? below ?? "").replace(/:.*/, ""),
  );
}

const normal = (text: string): string => text.replaceAll(/\s+/g, " ");

beforeAll(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  typescript.forEach(({ code }, i) => writeFileSync(join(folder, `block${i}.ts`), code));
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({
      extends: "../../tsconfig.base.json",
      compilerOptions: { rootDir: ".", outDir: "out" },
      include: ["*.ts"],
    }),
  );
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("all blocks are of a language that is run here", () => {
  expect(blocks.length).toBeGreaterThan(8);
  expect(blocks.filter(({ language }) => language !== "ts" && language !== "sh")).toEqual([]);
});

describe("TypeScript blocks", () => {
  test("compile", () => {
    const { status, stdout } = spawnSync(join(root, "node_modules", ".bin", "tsc"), ["-p", folder], {
      encoding: "utf8",
    });
    expect(stdout).toBe("");
    expect(status).toBe(0);
  });

  typescript.forEach(({ code, name }, i) => {
    const needsLinux = code.includes("tsbpf/linux") || code.includes("Btf.fromKernel");
    const reason = needsLinux ? whyNoLinux : undefined;
    test.skipIf(reason !== undefined)(reason === undefined ? name : `${name} (${reason})`, () => {
      const output = execFileSync(process.execPath, [join(folder, "out", `block${i}.js`)], { encoding: "utf8" });
      for (const line of promised(code)) expect(normal(output)).toContain(normal(line));
    });
  });
});

describe("shell blocks", () => {
  shell.forEach(({ code, name }) => {
    test(name, () => {
      const home = mkdtempSync(join(tmpdir(), "tsbpf-readme-"));
      const commands = code
        .split("\n")
        .map((line) =>
          line
            .replace(/^npm ci && npm test.*/, "")
            .replace(/^npm ci && npm start/, "node build/examples/packets/main.js"),
        );
      const env = { ...process.env, TSBPF_IMAGE: join(home, "kernel.image") };
      const { status, stdout, stderr } = spawnSync("bash", ["-euo", "pipefail", "-c", commands.join("\n")], {
        cwd: root,
        env,
        encoding: "utf8",
      });
      rmSync(home, { recursive: true, force: true });
      expect(`${status}\n${status === 0 ? "" : stdout + stderr}`).toBe("0\n");
    });
  });
});
