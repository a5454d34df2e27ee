/**
 * Counts: how many elems a map holds, in a word that stays right when a thread ends at any instruction.
 *
 *      bits  0..31  the count
 *      bits 32..51  number of the last change, as counted by the task that made it
 *      bits 52..63  that task
 *
 * A change is a compare-and-swap, and whoever ended just behind it can't have written down that it succeeded. The word says so
 * itself, as long as it names that task and its change; and who changes it next first tells that task, in its record (`ack`),
 * that its change was seen. A helper that was slow must not hide a later ack: it tells only what the task is at still, by a
 * compare-and-swap with the ack that it found before it looked. Numbers wrap; one that would look as if it had happened already
 * is left out. (Model: test/models/count.pml.)
 *
 * Before a change the task notes in its record what it is about to do and for which elem (a byte of its line that says
 * whether the elem is there, see _htab.ts); afterwards, when both the elem and the count are changed, it strikes that out. A
 * bucket's lock is held all the time. So who reaps it can finish or undo one of the two.
 */
import { MAX_TASKS } from "../super";
import { ME, Task, me, taskOf, taskPtr } from "../task";

const SEQ_BITS: u32 = 20;
const SEQ_MASK: u32 = (1 << SEQ_BITS) - 1;

/** Values of Task.countKind: an elem is about to come, or to go; or a change of another task (countTag) is taken back or finished. */
const NONE: u32 = 0;
const COMES: u32 = 1;
const GOES: u32 = 2;
const FOR_ANOTHER: u32 = 3;

// @ts-ignore: decorator
@inline
export function countOf(word: usize): u32 {
  return <u32>atomic.load<u64>(word);
}

/** Counts one elem more, unless there are `most`. The count is never too high, not even for a moment. */
export function countUp(word: usize, most: u32, tag: usize): bool {
  begin(word, tag, COMES);
  if (change(word, 1, most)) return true;
  me().countKind = NONE;
  return false;
}

/** Notes that the elem of this tag is about to go; `countDown` is to follow when it has. */
export function beginDown(word: usize, tag: usize): void {
  begin(word, tag, GOES);
}

export function countDown(word: usize): void {
  change(word, <u32>-1, u32.MAX_VALUE);
  endCount();
}

/** Both the elem and the count are changed. */
// @ts-ignore: decorator
@inline
export function endCount(): void {
  me().countKind = NONE;
}

function begin(word: usize, tag: usize, kind: u32): void {
  const task = me();
  task.countKind = NONE;
  do {
    task.countSeq = (task.countSeq + 1) & SEQ_MASK;
  } while (isNamed(atomic.load<u64>(word), ME, task.countSeq) || task.ack == task.countSeq);
  task.countWord = <u32>word;
  task.countTag = <u32>tag;
  task.countKind = kind;
}

function change(word: usize, by: u32, most: u32): bool {
  const mine = ((<u64>ME << SEQ_BITS) | <u64>me().countSeq) << 32;
  while (true) {
    const was = atomic.load<u64>(word);
    const count = <u32>was;
    if (by == 1 && count >= most) return false;
    tellLast(word, was);
    if (atomic.cmpxchg<u64>(word, was, mine | <u64>(count + by)) == was) return true;
  }
}

/** Whether a word names a task's change. */
// @ts-ignore: decorator
@inline
function isNamed(was: u64, id: u32, seq: u32): bool {
  return <u32>(was >> 32) == ((id << SEQ_BITS) | seq);
}

/** Tells the task that has changed the word last that this was seen. */
// @ts-ignore: decorator
@inline
function tellLast(word: usize, was: u64): void {
  const id = <u32>(was >> (32 + SEQ_BITS));
  if (id != ME && id != 0) tell(id, word, <u32>(was >> 32) & SEQ_MASK);
}

function tell(id: u32, word: usize, seq: u32): void {
  const at = taskPtr(id) + offsetof<Task>("ack");
  const countSeq = taskPtr(id) + offsetof<Task>("countSeq");
  const countWord = taskPtr(id) + offsetof<Task>("countWord");
  while (true) {
    const ack = atomic.load<u32>(at);
    if (ack == seq || atomic.load<u32>(countSeq) != seq || atomic.load<u32>(countWord) != <u32>word) return;
    if (atomic.cmpxchg<u32>(at, ack, seq) == ack) return;
  }
}

/** Whether the change that a dead task has begun has taken place. The word first: it may be changed, and told, meanwhile. */
function hasChanged(id: u32): bool {
  const task = taskOf(id);
  if (isNamed(atomic.load<u64>(task.countWord), id, task.countSeq)) return true;
  return atomic.load<u32>(taskPtr(id) + offsetof<Task>("ack")) == task.countSeq;
}

/**
 * Makes count and elem agree again for a dead task, which holds the lock of the elem's bucket: a count without its elem is
 * taken back, an elem that went is counted.
 */
export function settleCount(id: u32): void {
  const task = taskOf(id);
  const kind = task.countKind;
  if (kind != COMES && kind != GOES) return;
  const isThere = load<u8>(task.countTag) != 0;
  const mustSink = !isThere && (kind == COMES ? hasChanged(id) : !hasChanged(id));
  if (mustSink) {
    const word: usize = task.countWord;
    if (id == ME) task.countKind = NONE;
    else begin(word, id, FOR_ANOTHER);
    change(word, <u32>-1, u32.MAX_VALUE);
  }
  task.countKind = NONE;
  if (id != ME && mustSink) endCount();
}

/** What a dead task has changed for another one need not be done again. */
export function settleUndo(id: u32): void {
  const task = taskOf(id);
  if (task.countKind != FOR_ANOTHER) return;
  const other = task.countTag;
  if (hasChanged(id) && other != 0 && other <= MAX_TASKS) taskOf(other).countKind = NONE;
  task.countKind = NONE;
}
