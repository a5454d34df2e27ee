/**
 * prog load|loadall OBJ PATH [type TYPE] [dev NAME] [map { idx IDX | name NAME } MAP] [pinmaps MAP_DIR]: an object's programs, or the
 * first of them, loaded and pinned.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { Btf } from "../btf/btf.js";
import type { Kernel } from "../kernels/kernel.js";
import { BpfObject, type LoadOptions } from "../program/bpf_object.js";
import { dataMapName } from "../program/map_definitions.js";
import { kindOfSection } from "../program/section_kinds.js";
import { EEXIST, ENODEV } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { ArgsError, CommandFailure, isForUser } from "./failures.js";
import { takeMap } from "./map_handle.js";
import { whyNotInBpffs } from "./map_pin.js";
import type { Syscalls } from "./syscalls.js";

/** A map that takes the place of one of the object's. */
interface Replacement {
  /** Of the object's map, as libbpf counts them; undefined until its name was looked up. */
  idx: number | undefined;
  readonly name: string | undefined;
  readonly fd: number;
}

interface LoadSpec {
  section: string | undefined;
  /** A device that the programs are for. */
  dev: string | undefined;
  pinmaps: string | undefined;
  readonly replacements: Replacement[];
}

/** Where libbpf pins maps that are shared by their names. */
const PIN_PATH = "/sys/fs/bpf";

const STRICT_MODE =
  "Warning: bpftool is now running in libbpf strict mode and has more stringent requirements about BPF programs.\n" +
  "If it used to work for this object file but now doesn't, see --legacy option for more details.\n";

/** prog load OBJ PATH ... */
export function progLoad(context: Context, args: Args): Promise<void> {
  return load(context, args, "first");
}

/** prog loadall OBJ PATH ... */
export function progLoadAll(context: Context, args: Args): Promise<void> {
  return load(context, args, "all");
}

async function load(context: Context, args: Args, which: "first" | "all"): Promise<void> {
  args.need(2);
  const bpf = await context.open("change");
  const [file, path] = [args.take(), args.take()];
  const spec = takeSpec(context, bpf, args);
  using object = open(context, file);
  try {
    loadObject(context, bpf, object, file, spec);
    bpf.changed = true;
    pinPrograms(context, bpf, object, path, which);
    if (spec.pinmaps !== undefined) pinMaps(context, bpf, object, file, spec.pinmaps, path, which);
  } catch (error) {
    if (error instanceof CommandFailure && !context.strict && !context.options.legacy) context.out.note(STRICT_MODE);
    throw error;
  }
  context.out.done();
}

function takeSpec(context: Context, bpf: Syscalls, args: Args): LoadSpec {
  const spec: LoadSpec = { section: undefined, dev: undefined, pinmaps: undefined, replacements: [] };
  while (args.left > 0) {
    if (args.takeIf("type")) {
      if (spec.section !== undefined) context.fail("program type already specified");
      args.need(1);
      const type = args.take();
      // What libbpf calls "tracepoint/..." is a type without what follows.
      if (kindOfSection(type) === undefined) {
        if (context.strict) context.fail(`unknown program type '${type}'`);
        context.failSilently();
      }
      spec.section = type;
    } else if (args.takeIf("map")) {
      spec.replacements.push(takeReplacement(context, bpf, args));
    } else if (args.takeIf("dev")) {
      if (spec.dev !== undefined) context.fail("offload device already specified");
      args.need(1);
      spec.dev = args.take();
      if (!existsSync(join("/sys/class/net", spec.dev))) {
        context.fail(`unrecognized netdevice '${spec.dev}': ${errnoMessage(ENODEV)}`);
      }
    } else if (args.takeIf("pinmaps")) {
      args.need(1);
      spec.pinmaps = args.take();
    } else {
      throw new ArgsError(`expected no more arguments, 'type', 'map' or 'dev', got: '${args.next}'?`);
    }
  }
  return spec;
}

function takeReplacement(context: Context, bpf: Syscalls, args: Args): Replacement {
  args.need(4);
  let idx: number | undefined;
  let name: string | undefined;
  if (args.takeIf("idx")) idx = args.takeU32("IDX");
  else if (args.takeIf("name")) name = args.take();
  else context.fail(`expected 'idx' or 'name', got: '${args.next}'?`);
  return { idx, name, fd: takeMap(context, bpf, args).fd };
}

function open(context: Context, file: string): BpfObject {
  try {
    return BpfObject.open(readFileSync(file), { name: objectName(file) });
  } catch (error) {
    return failFor(context, "failed to open object file", error);
  }
}

/** As libbpf names an object: its file, up to the first dot. */
export function objectName(file: string): string {
  return basename(file).replace(/\..*$/s, "");
}

/** Ends the command: bpftool's words alone, or with what is known. */
function failFor(context: Context, what: string, error: unknown): never {
  if (!isForUser(error)) throw error;
  return context.fail(context.strict ? `${what}: ${error.message}` : what);
}

function loadObject(context: Context, bpf: Syscalls, object: BpfObject, file: string, spec: LoadSpec): void {
  const reuse = reusedMaps(context, object, file, spec.replacements);
  if (spec.dev !== undefined) {
    // Devices that take programs take them by a driver of their own; a kernel says so of the maps already.
    context.fail(
      context.strict ? `cannot load for '${spec.dev}': offload is not supported` : "failed to load object file",
    );
  }
  const options: LoadOptions = {
    reuse,
    pinPath: PIN_PATH,
    ...(spec.section !== undefined && { section: spec.section }),
    ...targetBtfOf(object, bpf.kernel),
  };
  try {
    object.load(bpf.kernel, options);
  } catch (error) {
    failFor(context, "failed to load object file", error);
  }
}

/** The types of the running kernel, where it is the one that the object is for and it asks for them. */
export function targetBtfOf(object: BpfObject, kernel: Kernel): { targetBtf?: Btf } {
  const asks = object.definitions.programs.some(({ coreRelocations }) => coreRelocations.length > 0);
  return asks && kernel.name === "linux" ? { targetBtf: Btf.fromKernel() } : {};
}

/** The fds of maps that take the place of the object's, by its names of them. */
function reusedMaps(
  context: Context,
  object: BpfObject,
  file: string,
  replacements: readonly Replacement[],
): Record<string, number> {
  const { maps } = object.definitions;
  const names = maps.map(({ name }) => libbpfName(name, file));
  for (const replacement of replacements) {
    const { name } = replacement;
    if (name === undefined) continue;
    const idx = names.indexOf(name);
    if (idx < 0) context.fail(`unable to find map '${name}'`);
    replacement.idx = idx;
  }
  const sorted = replacements.toSorted((a, b) => a.idx! - b.idx!);
  const reuse: Record<string, number> = {};
  for (const { idx, fd } of sorted) {
    const map = maps[idx!];
    if (map === undefined) return context.fail(`map idx '${idx}' not used`);
    if (reuse[map.name] !== undefined) context.fail(`replacement for map idx ${idx} specified more than once`);
    reuse[map.name] = fd;
  }
  return reuse;
}

/** What libbpf calls a map: sections of data begin with the object's name. */
function libbpfName(name: string, file: string): string {
  return name.startsWith(".") ? dataMapName(name, objectName(file)).slice(0, 15) : name;
}

/** Pins the first program at the path, or all in a directory there. */
function pinPrograms(context: Context, bpf: Syscalls, object: BpfObject, path: string, which: "first" | "all"): void {
  refuseOutside(context, bpf, path);
  const { programs } = object.definitions;
  const [first] = programs;
  if (which === "all") {
    const pins = programs.map(({ name }) => ({ name, fd: object.programs[name]!.fd }));
    const failure = pinAll(bpf, pins, path);
    if (failure !== undefined) fail(context, "failed to pin all programs", failure);
    return;
  }
  if (first === undefined) return context.fail("object file doesn't contain any bpf program");
  const result = bpf.objPin(object.programs[first.name]!.fd, path);
  if (result < 0) fail(context, `failed to pin program ${first.section}`, { path, result });
}

/** Pins all maps in a directory; where that fails, the programs go too. */
function pinMaps(
  context: Context,
  bpf: Syscalls,
  object: BpfObject,
  file: string,
  folder: string,
  path: string,
  which: "first" | "all",
): void {
  const pins = object.definitions.maps.map((map) => {
    const name = libbpfName(map.name, file).replaceAll(".", "_");
    return { name, fd: object.maps[map.name]!.fd };
  });
  const failure = pinAll(bpf, pins, folder);
  if (failure === undefined) return;
  const { programs } = object.definitions;
  if (which === "first") bpf.unlink(path);
  else for (const { name } of programs) bpf.unlink(join(path, name));
  fail(context, "failed to pin all maps", failure);
}

interface PinFailure {
  readonly path: string;
  readonly result: number;
}

/** Pins objects in a directory, which is made; nothing stays pinned where one fails. */
function pinAll(
  bpf: Syscalls,
  pins: readonly { readonly name: string; readonly fd: number }[],
  folder: string,
): PinFailure | undefined {
  const made = pins.length === 0 ? 0 : bpf.kernel.mkdir(folder);
  if (made < 0 && made !== -EEXIST) return { path: folder, result: made };
  for (const [i, { name, fd }] of pins.entries()) {
    const path = join(folder, name);
    const result = bpf.objPin(fd, path);
    if (result >= 0) continue;
    for (const { name } of pins.slice(0, i)) bpf.unlink(join(folder, name));
    return { path, result };
  }
  return undefined;
}

function fail(context: Context, what: string, { path, result }: PinFailure): never {
  return context.fail(context.strict ? `${what}: ${path}: ${errnoMessage(-result)}` : what);
}

function refuseOutside(context: Context, bpf: Syscalls, path: string): void {
  const outside = whyNotInBpffs(bpf, path);
  if (outside === undefined) return;
  if (!context.strict) context.fail("no BPF file system found, not mounting it due to --nomount option");
  context.fail(`can't pin the object (${path}): ${outside}`);
}
