/**
 * VerifierError: the kernel's verifier refused a program. Its log is long; what matters is at its end.
 */
import { BPF_PROG_LOAD } from "../uapi/bpf.js";
import { helperName } from "../uapi/helper_name.js";
import { cmdName } from "../uapi/names.js";
import { BpfError } from "../kernels/error.js";
import { adviceFor } from "./verifier_advice.js";

/** What the end of a log says. */
export interface VerifierReason {
  /** The sentence, or sentences, of the verifier: "R1 invalid mem access 'scalar'". */
  readonly reason: string;
  /** The instruction that it looked at last: `5: (79) r2 = *(u64 *)(r1 +0)`. */
  readonly insn: string | undefined;
  /** The line of the source that this is of, where the program tells lines: "x = *p; @ count.c:12". */
  readonly source: string | undefined;
  /** What it knew of registers there. */
  readonly state: string | undefined;
  /** The likely reason, and what to do; undefined where the sentence is not known. */
  readonly advice: string | undefined;
}

/** A program that the verifier refused. */
export class VerifierError extends BpfError implements VerifierReason {
  readonly reason: string;
  readonly insn: string | undefined;
  readonly source: string | undefined;
  readonly state: string | undefined;
  readonly advice: string | undefined;
  /** All of the log. */
  readonly log: string;

  constructor(what: string, ret: number, log: string) {
    const found = reasonOf(log);
    const { reason, insn, source, advice } = found;
    const where = [insn !== undefined && `at ${insn}`, source !== undefined && `in ${source}`].filter(Boolean);
    super(what, ret, {
      cmd: cmdName(BPF_PROG_LOAD),
      hint: [reason, ...where, ...(advice === undefined ? [] : [advice])].join("; "),
    });
    this.reason = reason;
    this.insn = insn;
    this.source = source;
    this.state = found.state;
    this.advice = advice;
    this.log = log;
  }
}

/** Names a helper as Linux does, bpf_get_stackid#27: the embedded kernel has numbers only. */
function withName(reason: string): string {
  return reason.replace(/(?<=unknown func )#(\d+)/, (number, id: string) => {
    const name = helperName(Number(id));
    return name === undefined ? number : `bpf_${name}${number}`;
  });
}

const INSN = /^(\d+): \([0-9a-f]{2}\) (.*)$/;

/** What is to be read of a log. */
export function reasonOf(log: string): VerifierReason {
  const lines = log
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^(processed \d+ insns|verification time|stack depth)/.test(line));
  const last = lines.findLastIndex((line) => INSN.test(line));
  const [before, after] = [lines.slice(0, last + 1), lines.slice(last + 1)];
  const source = before.findLast((line) => line.startsWith("; "));
  const state =
    before.findLast((line) => /(^|\d+: )R\d+(_w)?=/.test(line)) ?? /;\s*(R\d.*)$/.exec(lines[last] ?? "")?.[1];
  const reason =
    after.filter((line) => !line.startsWith("; ")).join("; ") || (lines.at(-1) ?? "no reason is in the log");
  return {
    reason: withName(reason),
    insn: lines[last]?.replace(/\s*;\s*R\d.*$/, ""),
    source: source?.slice(2),
    state: state?.replace(/^\d+: /, ""),
    advice: adviceFor(reason),
  };
}
