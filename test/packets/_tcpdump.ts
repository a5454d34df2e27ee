/** tcpdump, an independent reader of the same files. */
import { spawnSync } from "node:child_process";

/** Why tcpdump cannot be asked, or undefined. On CI its absence is an error. */
export function tcpdumpMissing(): string | undefined {
  const { error } = spawnSync("tcpdump", ["--version"]);
  if (error === undefined) return undefined;
  const reason = `Cannot run tcpdump: ${error.message}`;
  if (process.env["CI"]) throw new Error(reason);
  console.warn(`test/packets: skipped what tcpdump is asked. ${reason}`);
  return reason;
}

export interface Answer {
  /** One a packet. */
  readonly lines: readonly string[];
  /** What tcpdump says of a damaged file: "tcpdump: pcap_loop: truncated dump file; ...". */
  readonly complaint: string | undefined;
}

/** Prints a capture with tcpdump: no names, times as seconds with nanoseconds, the link layer, one line a packet. */
export function tcpdump(capture: Uint8Array, filter = ""): Answer {
  const args = ["-nn", "-e", "-q", "-tt", "--time-stamp-precision=nano", "-r", "-", filter];
  const { stdout, stderr } = spawnSync("tcpdump", args, { input: capture, encoding: "utf8", maxBuffer: 2 ** 28 });
  const complaint = stderr.split("\n").find((line) => line.startsWith("tcpdump: "));
  return { lines: stdout.split("\n").slice(0, -1), complaint };
}
