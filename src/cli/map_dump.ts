/**
 * map dump MAP: every elem of a map, or of every map of a name.
 */
import {
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
} from "../uapi/bpf.js";
import { ENOENT, ENOSPC } from "../uapi/errno.js";
import { errnoMessage } from "../uapi/errno_name.js";
import type { Args } from "./args.js";
import { elemTypes, writeElem } from "./btf_value.js";
import type { Context } from "./context.js";
import { printElem, printElemError } from "./elem_format.js";
import { mapUsage } from "./help.js";
import type { JsonWriter } from "./json_writer.js";
import { allocKey, allocValue, keyBytes, valueBytes } from "./map_elem.js";
import { asShown, takeMaps, type OpenMap } from "./map_handle.js";
import { headerText, writeHeader } from "./map_show.js";
import type { Syscalls } from "./syscalls.js";

/** Maps whose values are other objects: an elem without one is not shown. */
const REFERENCE_TYPES: readonly number[] = [
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_PROG_ARRAY,
];

/** map dump MAP */
export async function mapDump(context: Context, args: Args): Promise<void> {
  if (args.left !== 2) return mapUsage(context);
  const bpf = await context.open("read");
  const maps = asShown(context, bpf, takeMaps(context, bpf, args));
  const { out } = context;
  const plain = out.json === undefined;
  // In text, types are shown when each of the maps has some.
  const json = out.json ?? (maps.every(({ info }) => info.btfId !== 0) ? out.pretty() : undefined);
  try {
    const [only, ...others] = maps;
    if (only !== undefined && others.length === 0) {
      dumpElems(context, bpf, only, json);
      return;
    }
    json?.startArray();
    try {
      maps.forEach((map, at) => {
        if (at > 0 && json === undefined) out.text("\n");
        dumpWithHeader(context, bpf, map, json);
      });
    } finally {
      json?.endArray();
    }
  } finally {
    if (plain && json !== undefined) out.text("\n");
  }
}

/**
 * Shows a map, and its elems.
 *
 * @param json Where they go; undefined: to text.
 * @param header "text": the map as a line, whatever its elems are shown in.
 */
export function dumpWithHeader(
  context: Context,
  bpf: Syscalls,
  map: OpenMap,
  json: JsonWriter | undefined,
  header: "text" | "json" = json === undefined ? "text" : "json",
): void {
  if (json === undefined || header === "text") {
    context.out.text(headerText(map.info));
    dumpElems(context, bpf, map, json);
    return;
  }
  json.startObject();
  writeHeader(json, map.info);
  json.name("elements");
  try {
    dumpElems(context, bpf, map, json);
  } finally {
    json.endObject();
  }
}

/** @param json Where elems go; undefined: to text. */
function dumpElems(context: Context, bpf: Syscalls, map: OpenMap, json: JsonWriter | undefined): void {
  const { out, strict } = context;
  const types = json === undefined ? undefined : elemTypes(context, bpf, map.info);
  const { info, fd } = map;
  using key = allocKey(bpf, info);
  using nextKey = allocKey(bpf, info);
  using value = allocValue(bpf, info);
  if (info.type === BPF_MAP_TYPE_REUSEPORT_SOCKARRAY && info.valueSize !== 8) {
    out.note("Warning: cannot read values from reuseport_sockarray map with value_size != 8");
  }

  json?.startArray();
  let count = 0;
  let result = bpf.getNextKey(fd, undefined, nextKey);
  for (; result === 0; result = bpf.getNextKey(fd, key, nextKey)) {
    key.bytes.set(nextKey.bytes);
    const found = bpf.lookupElem(fd, key, value);
    if (found === 0) {
      const bytes = [keyBytes(key, info), valueBytes(bpf, value, info)] as const;
      if (types === undefined) {
        printElem(out, info, ...bytes);
      } else {
        const formatted = (to: JsonWriter): void =>
          writeElem(to, types, info, { plain: out.json === undefined, strict }, ...bytes);
        if (out.json === undefined) formatted(json!);
        else printElem(out, info, ...bytes, formatted);
      }
      count++;
    } else if (!REFERENCE_TYPES.includes(info.type)) {
      printElemError(out, info, keyBytes(key, info), elemError(context, map, -found));
    }
  }
  if (json === undefined) out.text(`Found ${count} element${count === 1 ? "" : "s"}\n`);
  else json.endArray();
  if (result !== -ENOENT) context.failSilently(result);
}

function elemError(context: Context, { info }: OpenMap, errno: number): string {
  if (context.out.json === undefined) {
    if (errno === ENOENT) return "<no entry>";
    if (errno === ENOSPC && info.type === BPF_MAP_TYPE_REUSEPORT_SOCKARRAY) return "<cannot read>";
  }
  return errnoMessage(errno);
}
