/**
 * tsbpf version: ours, and what kernel the commands go to. With --bpftool, the version whose behaviour that is.
 */
import { readFileSync } from "node:fs";
import { release } from "node:os";
import type { Context } from "./context.js";

interface VersionInfo {
  readonly version: string;
  readonly kernel: string;
  readonly release: string | undefined;
  readonly image: string | undefined;
  readonly possibleCpus: number | undefined;
  /** Why the kernel cannot be used. */
  readonly problem: string | undefined;
}

/** version */
export async function version(context: Context): Promise<void> {
  if (!context.strict) {
    bpftoolVersion(context);
    return;
  }
  const info = await gather(context);
  const { json } = context.out;
  if (json === undefined) {
    const rest = [
      info.release,
      info.possibleCpus === undefined ? undefined : `${info.possibleCpus} possible CPUs`,
      info.image === undefined ? undefined : `image ${info.image}`,
      info.problem === undefined ? undefined : `not usable: ${info.problem}`,
    ].filter((part) => part !== undefined);
    context.out.text(`tsbpf v${info.version}\nkernel ${[info.kernel, ...rest].join(", ")}\n`);
    return;
  }
  json.startObject();
  json.name("version");
  json.string(info.version);
  json.name("kernel");
  json.startObject();
  json.name("name");
  json.string(info.kernel);
  const texts = { release: info.release, image: info.image, error: info.problem };
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined) continue;
    json.name(name);
    json.string(text);
  }
  if (info.possibleCpus !== undefined) {
    json.name("possible_cpus");
    json.number(info.possibleCpus);
  }
  json.endObject();
  json.endObject();
}

async function gather(context: Context): Promise<VersionInfo> {
  const { kernel } = context.options;
  const known = { version: packageVersion(), kernel, release: kernel === "linux" ? release() : undefined };
  try {
    const { possibleCpus } = (await context.open("read")).kernel;
    return { ...known, image: context.image, possibleCpus, problem: undefined };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { ...known, image: undefined, possibleCpus: undefined, problem };
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

function bpftoolVersion({ out, options }: Context): void {
  const { json } = out;
  if (json === undefined) {
    out.text(`bpftool v7.1.0\nusing libbpf v1.1\nfeatures:${options.legacy ? "" : " libbpf_strict"}\n`);
    return;
  }
  json.startObject();
  json.name("version");
  json.string("7.1.0");
  json.name("libbpf_version");
  json.string("1.1");
  json.name("features");
  json.startObject();
  json.name("libbfd");
  json.bool(false);
  json.name("libbpf_strict");
  json.bool(!options.legacy);
  json.name("skeletons");
  json.bool(false);
  json.endObject();
  json.endObject();
}
