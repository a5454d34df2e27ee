/**
 * Without SharedArrayBuffer (a browser page that is not cross-origin isolated) the kernel works on memory of its own, says so once,
 * and cannot be shared. In processes of their own, where it is taken away before anything is loaded.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const script = fileURLToPath(new URL("../../build/test/embedded/unshared.js", import.meta.url));
const warning =
  "tsbpf: SharedArrayBuffer is not to be had here (a page must be cross-origin isolated): the kernel runs on memory that no other thread can attach to\n";

describe.each(["deleted", "not isolated"])("SharedArrayBuffer is %s", (how) => {
  it("the kernel works, says so once, and share() gives the reason", () => {
    const { stdout, stderr, status } = spawnSync(process.execPath, [script, how], { encoding: "utf8" });
    expect(stderr).toBe(warning);
    expect(stdout).toBe(
      [
        "shared: false",
        "elems: 100",
        "sum: 6",
        "array: 0,2",
        "records: 11",
        "commands: 0, arena: 1",
        "usage: 0 fds, 0 maps, 0 bytes",
        "loaded: 7",
        "Error: Cannot share the kernel: its memory is not shared, since SharedArrayBuffer is not to be had here (a page must be cross-origin isolated)",
        "",
      ].join("\n"),
    );
    expect(status).toBe(0);
  });
});
