/**
 * Three witnesses of the kernel's numbers that scripts/uapi.mjs has no part in: the running kernel's BTF as bpftool prints
 * it, the C compiler with the headers that are installed, and the running kernel's answers to bpf(2).
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { release, tmpdir } from "node:os";
import { join } from "node:path";
import { BPF_MAP_GET_NEXT_ID, ENOENT } from "tsbpf/uapi";
import type { TestContext } from "vitest";

const VMLINUX = "/sys/kernel/btf/vmlinux";

const works = (command: string): boolean => spawnSync(command, ["--version"]).status === 0;
const compiler = ["cc", "clang"].find(works);
/** The kernel that src/uapi says it is of. Another one may rightly have other numbers. */
const wanted = /from Linux (\d+\.\d+)/.exec(readFileSync(new URL("../src/uapi/bpf.ts", import.meta.url), "utf8"))?.[1];
const isWanted = release().startsWith(`${wanted}.`);

/** Why a witness cannot be heard on this machine; undefined when it can. */
export const lack = {
  kernel: isWanted ? undefined : `src/uapi is of Linux ${wanted}, this is ${process.platform} ${release()}`,
  btf: existsSync(VMLINUX) ? undefined : `there is no ${VMLINUX}`,
  bpftool: works("bpftool") ? undefined : "there is no bpftool",
  compiler: compiler === undefined ? "there is no C compiler" : undefined,
  /** Ids are shown to who may do anything (CAP_SYS_ADMIN): a start_id without a successor is ENOENT to them. */
  get right(): string | undefined {
    const [answer] = askKernel([{ cmd: BPF_MAP_GET_NEXT_ID, attr: Buffer.from("feffff7f", "hex") }]);
    return answer === -ENOENT ? undefined : `bpf(2) is not allowed here: it answers ${answer}`;
  },
};

/** Skips a test that this machine cannot run; in CI that is a failure. */
export function need(context: TestContext, ...lacks: (string | undefined)[]): void {
  const reason = lacks.find((each) => each !== undefined);
  if (reason === undefined) return;
  if (process.env["CI"] !== undefined) throw new Error(`Cannot be skipped in CI: ${reason}`);
  process.stdout.write(`Skipped "${context.task.name}": ${reason}\n`);
  context.skip(reason);
}

// --- the kernel's BTF, by bpftool

interface BtfType {
  readonly id: number;
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly type_id?: number;
  readonly nr_elems?: number;
  readonly encoding?: string;
  readonly values?: readonly { readonly name: string; readonly val: number }[];
  readonly members?: readonly Member[];
}
interface Member {
  readonly name: string;
  readonly type_id: number;
  readonly bits_offset: number;
  readonly bitfield_size?: number;
}

/** Where a field lies in its struct. */
export interface Place {
  readonly path: readonly string[];
  readonly off: number;
  readonly size: number;
  readonly shift?: number;
  readonly bits?: number;
}

/** The types of the running kernel. */
export class Btf {
  readonly types: readonly BtfType[];

  constructor() {
    const args = ["btf", "dump", "file", VMLINUX, "format", "raw", "-j"];
    const { stdout } = spawnSync("bpftool", args, { encoding: "utf8", maxBuffer: 1 << 28 });
    this.types = (JSON.parse(stdout) as { types: BtfType[] }).types;
  }

  /** By id: bpftool lists the types from id 1 on. */
  at(id: number): BtfType {
    const type = this.types[id - 1];
    if (type === undefined) throw new Error(`BTF has no type ${id}`);
    return type.kind === "TYPEDEF" ? this.at(type.type_id ?? 0) : type;
  }

  named(name: string): BtfType {
    const type = this.types.find((each) => each.name === name && (each.kind === "STRUCT" || each.kind === "UNION"));
    if (type === undefined) throw new Error(`BTF has no struct or union ${name}`);
    return type;
  }

  size(type: BtfType): number {
    return type.kind === "ARRAY" ? this.size(this.at(type.type_id ?? 0)) * (type.nr_elems ?? 0) : (type.size ?? 0);
  }

  /** A type's fields; those of members that are anonymous structs or unions stand in their place. */
  places(type: BtfType, path: readonly string[] = [], base = 0): Place[] {
    return (type.members ?? []).flatMap((member) => {
      const inner = this.at(member.type_id);
      const here = member.name === "(anon)" ? path : [...path, member.name];
      const bitOff = base * 8 + member.bits_offset;
      if (inner.members !== undefined) return this.places(inner, here, bitOff / 8);
      const place = { path: here, off: bitOff >> 3, size: this.size(inner) };
      return [member.bitfield_size ? { ...place, shift: bitOff & 7, bits: member.bitfield_size } : place];
    });
  }

  /** Every enumerator of the kernel. bpftool prints some unsigned ones of 32 bits with their sign extended. */
  enumerators(): { enum: string; name: string; value: number }[] {
    return this.types.flatMap((type) =>
      (type.values ?? []).map(({ name, val }) => {
        const value = type.kind === "ENUM" && type.encoding === "UNSIGNED" ? Number(BigInt(val) & 0xffffffffn) : val;
        return { enum: type.name, name, value };
      }),
    );
  }
}

// --- C

/** Compiles and runs a program; undefined and what the compiler said when it does not compile. */
function runC(source: string, input = ""): { output: string | undefined; errors: string } {
  const folder = mkdtempSync(join(tmpdir(), "tsbpf-uapi-test-"));
  try {
    const program = join(folder, "program");
    const built = spawnSync(compiler ?? "cc", ["-w", "-xc", "-", "-o", program], { input: source, encoding: "utf8" });
    if (built.status !== 0) return { output: undefined, errors: built.stderr };
    return { output: spawnSync(program, { input, encoding: "utf8" }).stdout.trimEnd(), errors: "" };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The values of C expressions, by name; without those that the headers here do not know. */
export function evaluateInC(expressions: ReadonlyMap<string, string>): Map<string, number> {
  const headers = ["stddef.h", "stdio.h", "errno.h", "linux/bpf.h", "linux/bpf_common.h"];
  const head = [...headers.map((name) => `#include <${name}>`), "int main(void) {"];
  let lines = [...expressions].map(([name, text]) => `printf("${name} %lld\\n", (long long)(${text}));`);
  for (;;) {
    const { output, errors } = runC([...head, ...lines, "}"].join("\n"));
    if (output !== undefined) {
      const pairs = output.split("\n").map((line) => line.split(" "));
      return new Map(pairs.map(([name = "", value]) => [name, Number(value)]));
    }
    const found = errors.matchAll(/^<stdin>:(\d+):\d+:.*error:/gm);
    const unknown = new Set(Array.from(found, (match) => Number(match[1]) - head.length - 1));
    if (unknown.size === 0) throw new Error(`Cannot compile: ${errors}`);
    lines = lines.filter((_, index) => !unknown.has(index));
  }
}

/** The C library's names and texts of errnos 0 to last; the name is "" where it has none. */
export function errnosInC(last: number): { name: string; message: string }[] {
  const { output, errors } = runC(`#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
int main(void) {
  for (int i = 0; i <= ${last}; i++) {
    const char *name = strerrorname_np(i);
    printf("%s|%s\\n", name ? name : "", strerror(i));
  }
}
`);
  if (output === undefined) throw new Error(`Cannot compile: ${errors}`);
  const pairs = output.split("\n").map((line) => line.split("|"));
  return pairs.map(([name = "", message = ""]) => ({ name, message }));
}

// --- the running kernel

const ASK = `#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
  int cmd;
  unsigned size;
  while (scanf("%d %u", &cmd, &size) == 2) {
    _Alignas(8) unsigned char attr[4096];
    for (unsigned i = 0; i < size; i++) scanf("%2hhx", &attr[i]);
    long got = syscall(SYS_bpf, cmd, attr, size);
    printf("%ld\\n", got < 0 ? -errno : got);
  }
}
`;

/** The running kernel's answers: an fd, 0 or a negative errno. The fds are closed with the process that asks. */
export function askKernel(calls: readonly { cmd: number; attr: Buffer }[]): number[] {
  const input = calls.map(({ cmd, attr }) => `${cmd} ${attr.length} ${attr.toString("hex")}\n`).join("");
  const { output, errors } = runC(ASK, input);
  if (output === undefined) throw new Error(`Cannot compile: ${errors}`);
  return output.split("\n").map(Number);
}
