/**
 * map watch MAP: what changed in a map since the look before: keys that were added, changed and deleted. Ours: bpftool has
 * none.
 */
import type { MapInfo } from "../kernels/syscalls.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import { elemTypes, writeElem, type ElemTypes } from "./btf_value.js";
import type { Context } from "./context.js";
import { elemsOf, textOf, type Elem } from "./elems.js";
import { formatHex, isPerCpu, perCpuStride } from "./elem_format.js";
import { ArgsError } from "./failures.js";
import { JsonWriter } from "./json_writer.js";
import { defaultLooks, lookOften, refuseInBatch, takeLooks } from "./live_args.js";
import { openMapId, takeMap, type OpenMap } from "./map_handle.js";
import { painter } from "./screen.js";
import type { Syscalls } from "./syscalls.js";

/** What became of an elem. */
interface Change {
  readonly what: "added" | "changed" | "deleted";
  readonly key: Uint8Array;
  /** As it was; undefined when it was added. */
  readonly old: Uint8Array | undefined;
  /** As it is; undefined when it was deleted. */
  readonly value: Uint8Array | undefined;
}

const SIGNS = { added: ["+", "green"], changed: ["~", "yellow"], deleted: ["-", "red"] } as const;

/** map watch MAP [interval SECONDS] [count N] [limit ELEMS] */
export async function mapWatch(context: Context, args: Args, depth: number): Promise<void> {
  refuseInBatch(context, depth);
  args.need(2);
  const bpf = await context.open("read");
  const { info } = takeMap(context, bpf, args);
  const looks = defaultLooks(context);
  while (args.left > 0) {
    if (!takeLooks(args, looks)) throw new ArgsError(`what is '${args.next}'?`);
  }
  context.out.beginLines();
  if (info.keySize === 0) context.fail(`cannot watch map ${info.id}: a ${info.typeName} has no keys`);
  const types = elemTypes(context, bpf, info);
  const report = context.out.json === undefined ? tell(context, info, types) : write(context, info, types);

  let before: ReadonlyMap<string, Elem> | undefined;
  await lookOften(context, looks, (kernel, at) => {
    const map = openMapId(context, kernel, info.id);
    if (map === undefined) return context.fail(`map ${info.id} is gone`);
    const now = readAll(context, kernel, map, looks.limit);
    if (before !== undefined) report(at, changes(before, now));
    before = now;
    return true;
  });
}

function readAll(context: Context, bpf: Syscalls, map: OpenMap, limit: number): Map<string, Elem> {
  const all = new Map<string, Elem>();
  const elems = elemsOf(bpf, map);
  for (let next = elems.next(); ; next = elems.next()) {
    if (next.done === true) {
      if (next.value < 0 && all.size === 0) {
        context.fail(`cannot read map ${map.info.id}: ${errnoMessage(-next.value)}`, next.value);
      }
      return all;
    }
    if (all.size >= limit) {
      elems.return(0);
      context.fail(`map ${map.info.id} has more than ${limit} elements: say 'limit 0' to read them all at each look`);
    }
    all.set(textOf(next.value.key), next.value);
  }
}

/** What must have happened between two looks: deleted keys first, then the others as the map gives them. */
export function changes(before: ReadonlyMap<string, Elem>, now: ReadonlyMap<string, Elem>): Change[] {
  const found: Change[] = [];
  for (const [key, elem] of before) {
    if (!now.has(key)) found.push({ what: "deleted", key: elem.key, old: elem.value, value: undefined });
  }
  for (const [text, { key, value }] of now) {
    const old = before.get(text)?.value;
    if (old === undefined) found.push({ what: "added", key, old, value });
    else if (Buffer.compare(old, value) !== 0) found.push({ what: "changed", key, old, value });
  }
  return found;
}

type Report = (at: Date, changes: readonly Change[]) => void;

/** Tells changes in lines of text. */
function tell(context: Context, info: MapInfo, types: ElemTypes | undefined): Report {
  const paint = painter(context);
  return (at, all) => {
    for (const { what, key, old, value } of all) {
      const [sign, color] = SIGNS[what];
      const shown = [old, value].filter((bytes) => bytes !== undefined);
      const text =
        types === undefined
          ? `key: ${hex(key)}  value: ${shown.map((bytes) => valueHex(info, bytes)).join(" -> ")}`
          : shown.map((bytes) => formatted(context, types, info, key, bytes)).join(" -> ");
      context.out.text(`${at.toISOString().slice(11, 23)} ${paint(`${sign} ${text}`, color)}\n`);
    }
  };
}

function hex(bytes: Uint8Array): string {
  return formatHex(bytes).replace(/\s+/g, " ");
}

/** A value; of a per-CPU map, all that there are: "01 00 | 02 00". */
function valueHex(info: MapInfo, value: Uint8Array): string {
  return cpuValues(info, value).map(hex).join(" | ");
}

function cpuValues(info: MapInfo, value: Uint8Array): Uint8Array[] {
  if (!isPerCpu(info.type)) return [value];
  const stride = perCpuStride(info.valueSize);
  return Array.from({ length: value.length / stride }, (_, cpu) =>
    value.subarray(cpu * stride, cpu * stride + info.valueSize),
  );
}

function formatted(context: Context, types: ElemTypes, info: MapInfo, key: Uint8Array, value: Uint8Array): string {
  let text = "";
  const json = new JsonWriter((part) => void (text += part), { pretty: false, bpftoolEscapes: false });
  writeElem(json, types, info, { plain: true, strict: context.strict }, key, value);
  return text;
}

/** Writes changes as JSON, one a line. */
function write({ out, strict }: Context, info: MapInfo, types: ElemTypes | undefined): Report {
  const style = { plain: false, strict };
  return (at, all) => {
    for (const { what, key, old, value } of all) {
      out.jsonLine((json) => {
        json.startObject();
        json.name("time");
        json.string(at.toISOString());
        json.name("id");
        json.number(info.id);
        json.name("change");
        json.string(what);
        json.name("key");
        json.bytes(key);
        writeValue(json, info, "old_value", old);
        writeValue(json, info, "value", value);
        const shown = value ?? old;
        if (types !== undefined && shown !== undefined) {
          json.name("formatted");
          writeElem(json, types, info, style, key, shown);
        }
        json.endObject();
      });
    }
  };
}

/** Writes a member; of a per-CPU map an array, in the plural. */
function writeValue(json: JsonWriter, info: MapInfo, name: string, bytes: Uint8Array | undefined): void {
  if (bytes === undefined) return;
  if (!isPerCpu(info.type)) {
    json.name(name);
    json.bytes(bytes);
    return;
  }
  json.name(`${name}s`);
  json.startArray();
  for (const one of cpuValues(info, bytes)) json.bytes(one);
  json.endArray();
}
