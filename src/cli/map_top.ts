/**
 * map top: what maps there are, how full they are and what changes, looked at again and again. Ours: bpftool has none.
 *
 * A look reads all elems of a map, up to a limit, and keeps a hash of each value: so it can tell what was added, changed and
 * deleted since the look before. Of a map with more elems only the count is known, where the kernel tells it.
 */
import type { MapInfo } from "../kernels/syscalls.js";
import type { Args } from "./args.js";
import type { Context } from "./context.js";
import { countOf, elemsOf, isArray, textOf } from "./elems.js";
import { valueBufferSize } from "./elem_format.js";
import { ArgsError } from "./failures.js";
import type { JsonWriter } from "./json_writer.js";
import { defaultLooks, lookOften, refuseInBatch, takeLooks, type Looks } from "./live_args.js";
import { allMaps, takeMaps, type OpenMap } from "./map_handle.js";
import { painter, Screen } from "./screen.js";
import type { Syscalls } from "./syscalls.js";
import { drawTop, SORTS, type Rates, type TopRow } from "./top_table.js";

/** Rates that a sparkline shows at most. */
const HISTORY = 60;
/** Of one map's keys and values, that a look reads at most unless there is no limit. */
const MAX_BYTES = 32 << 20;

/** What a look keeps of a map for the next one. */
interface Kept {
  readonly atMs: number;
  /** A hash of each value, by its key; undefined when not all elems were read. */
  readonly digests: ReadonlyMap<string, number> | undefined;
  readonly history: readonly number[];
}

/** map top [MAP] [interval SECONDS] [count N] [limit ELEMS] [sort FIELD] */
export async function mapTop(context: Context, args: Args, depth: number): Promise<void> {
  refuseInBatch(context, depth);
  const looks = defaultLooks(context);
  let sort: keyof typeof SORTS = "rate";
  let only: ReadonlySet<number> | undefined;
  while (args.left > 0) {
    if (takeLooks(args, looks)) continue;
    if (args.takeIf("sort")) {
      const word = args.take();
      const field = (Object.keys(SORTS) as (keyof typeof SORTS)[]).find((name) => name.startsWith(word));
      if (field === undefined || word === "") {
        throw new ArgsError(`cannot sort by '${word}': expected ${Object.keys(SORTS).join(", ")}`);
      }
      sort = field;
    } else if (args.is("id") || args.is("name") || args.is("pinned")) {
      const bpf = await context.open("read");
      only = new Set(takeMaps(context, bpf, args).map(({ info }) => info.id));
    } else {
      throw new ArgsError(`what is '${args.next}'?`);
    }
  }

  context.out.beginLines();
  let kept = new Map<number, Kept>();
  const screen = new Screen(context, looks.count > 1);
  try {
    await lookOften(context, looks, (bpf, at) => {
      const next = new Map<number, Kept>();
      const rows: TopRow[] = [];
      for (const map of allMaps(context, bpf)) {
        const { id } = map.info;
        if (only?.has(id) === false) continue;
        const [row, keep] = lookAt(bpf, map, looks, at.getTime(), kept.get(id));
        rows.push(row);
        next.set(id, keep);
      }
      kept = next;
      rows.sort(SORTS[sort]);
      if (context.out.json === undefined) {
        const { columns } = context.io.terminal ?? {};
        screen.show(drawTop(rows, { kernel: bpf.kernel.name, at, sort, columns, paint: painter(context) }));
      } else {
        context.out.jsonLine((json) => writeLook(json, bpf.kernel.name, at, rows));
      }
      return true;
    });
  } finally {
    screen.close();
  }
}

function lookAt(
  bpf: Syscalls,
  map: OpenMap,
  looks: Looks,
  atMs: number,
  before: Kept | undefined,
): [row: TopRow, kept: Kept] {
  const { info } = map;
  const memlock = bpf.fdinfo(map.fd).get("memlock");
  const read = digestsOf(bpf, map, looks.limit);
  const digests = read === undefined || "more" in read ? undefined : read;
  const count = countOf(bpf, map) ?? digests?.size;
  const seconds = before === undefined ? 0 : (atMs - before.atMs) / 1000;
  const rates =
    digests === undefined || before?.digests === undefined || seconds <= 0
      ? undefined
      : ratesOf(before.digests, digests, seconds);
  const history = [...(before?.history ?? [])];
  if (rates !== undefined) history.push(rates.added + rates.changed + rates.deleted);
  const row: TopRow = {
    id: info.id,
    type: info.typeName,
    name: info.name,
    count,
    atLeast: count === undefined && read !== undefined && "more" in read ? read.more : undefined,
    maxEntries: info.maxEntries,
    pressure: count === undefined || isArray(info) || info.maxEntries === 0 ? undefined : count / info.maxEntries,
    memlock: memlock === undefined ? undefined : Number(memlock),
    rates,
    history: history.slice(-HISTORY),
  };
  return [row, { atMs, digests, history: row.history }];
}

/** Reads a map up to a limit. Undefined: its elems cannot be read; `more`: it has more than so many. */
function digestsOf(bpf: Syscalls, map: OpenMap, limit: number): Map<string, number> | { more: number } | undefined {
  const { info } = map;
  if (info.keySize === 0) return undefined;
  const bounded = Math.min(limit, mostElems(info, bpf.kernel.possibleCpus, limit));
  if (isArray(info) && info.maxEntries > bounded) return { more: info.maxEntries };
  const digests = new Map<string, number>();
  const elems = elemsOf(bpf, map);
  for (let next = elems.next(); ; next = elems.next()) {
    if (next.done === true) return next.value === 0 || digests.size > 0 ? digests : undefined;
    if (digests.size >= bounded) {
      elems.return(0);
      return { more: digests.size };
    }
    digests.set(textOf(next.value.key), digestOf(next.value.value));
  }
}

function mostElems(info: MapInfo, possibleCpus: number, limit: number): number {
  if (!Number.isFinite(limit)) return limit;
  return Math.max(1, Math.floor(MAX_BYTES / (info.keySize + valueBufferSize(info, possibleCpus))));
}

/** FNV-1a: of two values that differ one in four thousand million is taken for the same. */
function digestOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

function ratesOf(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>, seconds: number): Rates {
  let added = 0;
  let changed = 0;
  for (const [key, digest] of now) {
    const old = before.get(key);
    if (old === undefined) added++;
    else if (old !== digest) changed++;
  }
  const deleted = before.size - (now.size - added);
  return { added: added / seconds, changed: changed / seconds, deleted: deleted / seconds };
}

/** A look as JSON, on a line. */
function writeLook(json: JsonWriter, kernel: string, at: Date, rows: readonly TopRow[]): void {
  json.startObject();
  json.name("time");
  json.string(at.toISOString());
  json.name("kernel");
  json.string(kernel);
  json.name("maps");
  json.startArray();
  for (const row of rows) {
    const { rates } = row;
    const numbers: readonly (readonly [name: string, value: number | undefined])[] = [
      ["count", row.count],
      ["max_entries", row.maxEntries],
      ["pressure", row.pressure],
      ["bytes_memlock", row.memlock],
      ["added_per_second", rates?.added],
      ["changed_per_second", rates?.changed],
      ["deleted_per_second", rates?.deleted],
    ];
    json.startObject();
    json.name("id");
    json.number(row.id);
    json.name("type");
    json.string(row.type);
    json.name("name");
    json.string(row.name);
    for (const [name, value] of numbers) {
      json.name(name);
      if (value === undefined) json.null();
      else json.number(value);
    }
    if (row.atLeast !== undefined) {
      json.name("count_at_least");
      json.number(row.atLeast);
    }
    json.endObject();
  }
  json.endArray();
  json.endObject();
}
