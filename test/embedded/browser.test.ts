/**
 * The root entry loads in browsers: nothing that it imports, however far down, is Node's.
 */
import { readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";

const dist = fileURLToPath(new URL("../../dist/", import.meta.url));

/** Imports, exports from, and dynamic imports; not the word "from" in quotes. */
const imported = /(?<!["'])\b(?:from|import)\s*\(?\s*(["'])(?<specifier>[^"'\s]+)\1/g;

/** Source without comments and strings: what is left is code. The engine's base64 goes with the strings. */
function codeOf(source: string): string {
  return source.replaceAll(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`/g,
    (found) => (found.startsWith("`") ? found.replaceAll(/[^{}$]+(?=\$\{|`|$)/g, "") : " "),
  );
}

/** All files that an entry leads to, with what each imports. */
function graphOf(entry: string): Map<string, string[]> {
  const graph = new Map<string, string[]>();
  const open = [join(dist, entry)];
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (graph.has(file)) continue;
    const specifiers = [...readFileSync(file, "utf8").matchAll(imported)].map((match) => match.groups!["specifier"]!);
    graph.set(file, specifiers);
    for (const specifier of specifiers) {
      if (specifier.startsWith(".")) open.push(resolve(dirname(file), specifier));
    }
  }
  return graph;
}

const names = (graph: Map<string, string[]>): string[] =>
  [...graph.keys()].map((file) => relative(dist, file)).toSorted();

it.each(["index.js", "uapi/index.js"])("%s leads to files of the package only", (entry) => {
  const graph = graphOf(entry);
  expect(graph.size).toBeGreaterThan(4);
  for (const [file, specifiers] of graph) {
    for (const specifier of specifiers) expect(specifier, relative(dist, file)).toMatch(/^\.\.?\/.*\.js$/);
  }
  expect(names(graph).filter((name) => /linux|cli/.test(name))).toEqual([]);
});

it.each(["index.js", "uapi/index.js"])("%s uses nothing that only Node has", (entry) => {
  for (const file of graphOf(entry).keys()) {
    const code = codeOf(readFileSync(file, "utf8"));
    const found = /\b(?:process|Buffer|require|__dirname|__filename|global|setImmediate)\b(?!\s*:)/.exec(code)?.[0];
    expect(found, relative(dist, file)).toBeUndefined();
  }
});

it("would see it: the Linux entry does use them", () => {
  const graph = graphOf("kernels/linux/index.js");
  const outside = [...graph.values()].flat().filter((specifier) => !specifier.startsWith("."));
  expect(outside).toEqual(expect.arrayContaining([expect.stringMatching(/^node:/)]));
  expect(codeOf('const a = process.cwd(); // x\nconst b = "Buffer";')).toMatch(/process/);
  expect(codeOf('const a = 1; // process\nconst b = "Buffer";')).not.toMatch(/process|Buffer/);
});
