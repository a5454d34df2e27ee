/**
 * Structured control flow of a graph. As in Ramsey, "Beyond Relooper": a block's code has those inside that it dominates; where several
 * ways meet, the code comes behind a `block` that they break out of, and a loop's header begins a `loop`. A graph that has loops with several
 * entries is run by a dispatch loop instead.
 */
import type { Block, Graph } from "./cfg.js";
import { NEXT } from "./_run.js";
import { type Code, type Label, op } from "./wasm.js";

/** What writes the blocks themselves. */
export interface Writer {
  readonly code: Code;
  /** The block's instructions but for its jump; of a block without ways out, all, to its return. */
  body(b: number): void;
  /** Puts on the stack whether its jump is taken. */
  condition(block: Block): void;
  /** What taking the jump costs. Returns whether it costs anything. */
  cost(block: Block, write: boolean): boolean;
}

/** Writes all blocks. */
export function writeGraph(graph: Graph, writer: Writer): void {
  if (graph.isReducible) writeTree(graph, writer);
  else writeDispatch(graph, writer);
}

type Task = { readonly tree: number } | { readonly node: number } | "end";

/** Deep graphs are common: what is left to do lies in a list, not on the stack. */
function writeTree({ blocks, idom, forward, isHeader }: Graph, writer: Writer): void {
  const { code } = writer;
  const loops: Label[] = [];
  const behind: Label[] = [];
  const merges: number[][] = Array.from({ length: blocks.length }, () => []);
  for (let b = 1; b < blocks.length; b++) if (forward[b]! > 1) merges[idom[b]!]!.push(b);
  const tasks: Task[] = [{ tree: 0 }];

  const writeNode = (b: number): void => {
    const block = blocks[b]!;
    const { taken, next } = block;
    writer.body(b);
    const labelOf = (to: number): Label | undefined =>
      to <= b ? loops[to] : forward[to]! > 1 ? behind[to] : undefined;
    if (taken === undefined) {
      if (next !== undefined) leave(next, labelOf(next));
      return;
    }
    if (next === undefined) {
      writer.cost(block, true);
      return leave(taken, labelOf(taken));
    }
    const [takenLabel, nextLabel] = [labelOf(taken), labelOf(next)];
    writer.condition(block);
    const costs = writer.cost(block, false);
    if (takenLabel !== undefined && !costs) {
      code.brIf(takenLabel);
      return leave(next, nextLabel);
    }
    if (takenLabel === undefined && nextLabel !== undefined) {
      code.op(op.i32Eqz).brIf(nextLabel);
      writer.cost(block, true);
      return leave(taken, takenLabel);
    }
    code.open(op.if);
    writer.cost(block, true);
    if (nextLabel === undefined) tasks.push({ tree: next });
    tasks.push("end");
    if (takenLabel === undefined) tasks.push({ tree: taken });
    else code.br(takenLabel);
    if (nextLabel !== undefined) {
      tasks.pop();
      code.end().br(nextLabel);
    }
  };
  const leave = (to: number, label: Label | undefined): void => {
    if (label === undefined) tasks.push({ tree: to });
    else code.br(label);
  };

  for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) {
    if (task === "end") {
      code.end();
    } else if ("node" in task) {
      writeNode(task.node);
    } else {
      const b = task.tree;
      if (isHeader[b] === 1) {
        loops[b] = code.open(op.loop);
        tasks.push("end");
      }
      // The first of them to run is in the innermost block, and is written last here: the list is worked from its end.
      for (const merge of merges[b]!.toReversed()) {
        behind[merge] = code.open(op.block);
        tasks.push({ tree: merge }, "end");
      }
      tasks.push({ node: b });
    }
  }
}

function writeDispatch({ blocks }: Graph, writer: Writer): void {
  const { code } = writer;
  const loop = code.open(op.loop);
  const go = (to: number): void => void code.i32(to).set(NEXT).br(loop);
  const labels = blocks.map(() => code.open(op.block)).toReversed();
  code.get(NEXT).brTable(labels);
  for (const [b, block] of blocks.entries()) {
    code.end();
    writer.body(b);
    const { taken, next } = block;
    if (taken !== undefined && next !== undefined) {
      writer.condition(block);
      code.open(op.if);
      writer.cost(block, true);
      go(taken);
      code.end();
      go(next);
    } else if (taken !== undefined) {
      writer.cost(block, true);
      go(taken);
    } else if (next !== undefined) {
      go(next);
    }
  }
  code.end();
}
