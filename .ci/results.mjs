/**
 * What a run of the tests came to, from vitest's JSON.
 *
 *     node .ci/results.mjs unfinished RESULTS          the files with tests that were never run, a line each: their process crashed
 *     node .ci/results.mjs sum RESULTS [AGAIN]         "N passed, N failed"; AGAIN: the same files once more, which counts then
 */
import { readFileSync } from "node:fs";

const [what, ...paths] = process.argv.slice(2);
const files = new Map();
for (const path of paths) {
  for (const { name, status, assertionResults } of JSON.parse(readFileSync(path, "utf8")).testResults)
    // The codecs' files are run twice in one run.
    files.set(name, [
      ...(files.get(name)?.filter((run) => run.path === path) ?? []),
      { path, status, assertionResults },
    ]);
}

const isUnfinished = ({ assertionResults }) => assertionResults.some(({ status }) => status === "pending");
const unfinished = [...files].filter(([, runs]) => runs.some(isUnfinished)).map(([name]) => name);

if (what === "unfinished") {
  for (const name of unfinished) console.log(name);
} else {
  const runs = [...files.values()].flat();
  const count = (...wanted) =>
    runs.flatMap(({ assertionResults }) => assertionResults).filter(({ status }) => wanted.includes(status)).length;
  const notRun = runs.filter(({ status, assertionResults }) => status === "failed" && assertionResults.length === 0);
  if (notRun.length > 0) console.log(`${notRun.length} test files could not be run`);
  for (const name of unfinished) console.log(`not run to its end: ${name}`);
  const [failed, skipped] = [count("failed", "pending"), count("skipped", "todo")];
  console.log(`${count("passed")} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  if (failed + notRun.length > 0) process.exitCode = 1;
}
