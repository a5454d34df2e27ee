/**
 * A value that two threads share: in a map of the embedded kernel, which a worker has attached; in a worker's own Map,
 * which is asked by postMessage, one question at a time; in an lmdb.
 */
import { Worker } from "node:worker_threads";
import { EmbeddedKernel, HashMap, u32 } from "tsbpf";
import { KEYS, type Load, kept, loadOf, roomFor } from "./keys.js";
import { lmdbOps } from "./lmdb.js";
import type { Op, Ops, Suite } from "./measure.js";
import type { Answer, Question, SharedData } from "./shared_worker.js";
import { typedOps } from "./typed.js";

async function start(data: SharedData): Promise<Worker> {
  const worker = new Worker(new URL("shared_worker.js", import.meta.url), { workerData: data });
  await new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  return worker;
}

async function embeddedOps(load: Load<number, number>): Promise<Ops> {
  const kernel = await EmbeddedKernel.create();
  const map = HashMap.create(kernel, { name: "bench", key: u32, value: u32, maxEntries: roomFor(KEYS) });
  await start({ handle: kernel.share(), id: map.id });
  const { lookup, update } = typedOps(map, load);
  return { get: lookup!, set: update! };
}

/** Round trips to the Map's owner; to set it is one too, since who has set wants to know that it is there. */
async function messageOps({ mask, hits, values }: Load<number, number>): Promise<Ops> {
  const worker = await start({});
  let answered: (answer: Answer) => void = () => {};
  worker.on("message", (answer: Answer) => answered(answer));
  const ask = (question: Question): Promise<Answer> => {
    const answer = new Promise<Answer>((resolve) => {
      answered = resolve;
    });
    worker.postMessage(question);
    return answer;
  };
  const rounds =
    (questionOf: (i: number) => Question): Op =>
    async (from, n) => {
      for (let i = from; i < from + n; i++) {
        const answer = await ask(questionOf(i));
        if (answer === undefined) throw new Error("A key that was set is not there");
        kept.value = answer;
      }
      return n;
    };
  return {
    get: rounds((i) => ({ key: hits[i & mask]! })),
    set: rounds((i) => ({ key: hits[i & mask]!, value: values[i & mask]! })),
  };
}

async function open(contender: string): Promise<Ops> {
  const load = loadOf(
    (n) => n,
    (n) => n,
  );
  if (contender === "message") return messageOps(load);
  if (contender === "lmdb") return lmdbOps(load);
  return embeddedOps(load);
}

export const sharedSuite: Suite = {
  name: "shared by threads, u32 -> u32",
  titles: { message: "postMessage", lmdb: "npm lmdb" },
  note: `postMessage: a round trip to the worker that owns a Map. lmdb: without fsync; a set is a transaction, since others
  see it only then; its gets need none, and see nothing newer until the turn of the event loop ends`,
  rows: ["get", "set", "set, 1,000 a transaction"],
  contenders: ["embedded", "message", "lmdb"],
  open,
};
