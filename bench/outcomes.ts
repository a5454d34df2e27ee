/**
 * What fails against what succeeds, on the embedded kernel: `get` of a key that is not there, `set` when the map is full.
 *
 * An insertion that is refused, three ways: as the engine does it (`kernel.direct`: E2BIG as a number), in setMany, and
 * through the typed `set`, which throws a BpfError: there the exception is most of the time. What succeeds beside it is the
 * update of a key that is there, in the same full map.
 */
import { EmbeddedKernel, HashMap, u32 } from "tsbpf";
import { E2BIG } from "tsbpf/uapi";
import { KEYS, kept, loadOf } from "./keys.js";
import { MANY, type ManyMap, chunksOf, manyOf } from "./many.js";
import type { Op, Ops, Suite } from "./measure.js";

export const GET = "get";
export const SET_DIRECT = "set, by kernel.direct";
export const SET_MANY = `setMany of ${MANY.toLocaleString("en")}, of which the last fails`;
export const SET = "set (fails: an exception)";

async function open(contender: string): Promise<Ops> {
  const fails = contender === "fails";
  const kernel = await EmbeddedKernel.create();
  const map = HashMap.create(kernel, { name: "bench", key: u32, value: u32, maxEntries: KEYS });
  const { mask, present, hits, absent, values } = loadOf(
    (n) => n,
    (n) => n,
  );
  for (let i = 0; i < KEYS; i++) map.set(present[i]!, values[i]!);
  const keys = fails ? absent : hits;
  const rows: Record<string, Op> = {
    [GET]: (from, n) => {
      let found = 0;
      for (let i = from; i < from + n; i++) {
        const value = map.get(keys[i & mask]!);
        if (value !== undefined) found++;
        kept.value = value;
      }
      if (found !== (fails ? 0 : n)) throw new Error(`${found} of ${n} keys are there`);
      return n;
    },
    [SET]: (from, n) => {
      let failed = 0;
      for (let i = from; i < from + n; i++) {
        try {
          map.set(keys[i & mask]!, values[i & mask]!);
        } catch (error) {
          kept.value = error;
          failed++;
        }
      }
      if (failed !== (fails ? n : 0)) throw new Error(`${failed} of ${n} insertions failed`);
      return n;
    },
  };
  const direct = kernel.direct(map.fd);
  if (direct !== undefined) {
    const wanted = fails ? -E2BIG : 0;
    const value = new Uint32Array(direct.value.bytes.buffer, direct.value.bytes.byteOffset, 1);
    rows[SET_DIRECT] = (from, n) => {
      for (let i = from; i < from + n; i++) {
        value[0] = i;
        const ret = direct.updateElem4(keys[i & mask]!, 0);
        if (ret !== wanted) throw new Error(`An update answered ${ret}: wanted ${wanted}`);
      }
      return n;
    };
  }
  const many = manyOrNone(map);
  if (many !== undefined) {
    const last = fails ? absent : hits;
    const entries = chunksOf(hits.map((key, i): [number, number] => [key, values[i]!]));
    for (const [i, chunk] of entries.entries()) chunk[MANY - 1] = [last[i]!, 0];
    rows[SET_MANY] = (from, n) => {
      let done = 0;
      for (let chunk = Math.floor(from / MANY); done < n; chunk++, done += MANY) {
        // Whether a full map shows in the count or in an exception, one in a thousand keys pays for it.
        try {
          kept.value = many.setMany(entries[chunk % entries.length]!);
        } catch (error) {
          kept.value = error;
        }
      }
      if (map.count() !== KEYS) throw new Error(`The map holds ${map.count()} elems: wanted ${KEYS}`);
      return done;
    };
  }
  return rows;
}

function manyOrNone(map: object): ManyMap<number, number> | undefined {
  try {
    return manyOf(map);
  } catch {
    return undefined;
  }
}

export const outcomesSuite: Suite = {
  name: "what fails, hash u32 -> u32, full",
  rows: [GET, SET_DIRECT, SET_MANY, SET],
  contenders: ["succeeds", "fails"],
  open,
};
