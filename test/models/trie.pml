/*
 * LPM tries (kernel/maps/lpm_trie.ts): a changed node is a new one, its blocks are given back at once, readers take no lock;
 * with a death anywhere.
 *
 * The trie has a root, at most one node, and its elem. A writer, under the lock, replaces both, takes them out, or puts them in
 * again; what it takes out is free, and is the next change's at once. It may die between any two steps; the reaper
 * may die too, and a second one starts from the beginning. A reader looks for the elem: it looks at seq after each word
 * that it is about to follow, and before it answers.
 *
 * Abstracted: nodes of many items, and paths of many nodes: a step of the reader is the same each time; pages, which a free block
 * may be part of: what it holds is LINK, which leads nowhere; the tables of first nodes, which change while seq is
 * odd; the lock but for its owner's being dead (lock.pml).
 *
 * Memory order: the stores of a new node come before the one that publishes it, which is between two of seq; what becomes of the
 * old blocks is stored behind these (keepOrder). The reader's loads keep their order.
 *
 * Invariants:
 * - the reader follows no word that was not an address when it looked;
 * - it finds an elem that was there at one moment since it began, whole; and one that is never deleted always;
 * - a block is in use if, and only if, the trie leads to it, whenever no lock is held; and count is right.
 */
#define BLOCKS 5
#define LINK 10                /* what a free block holds */
#define VALUE 20               /* what an elem holds: VALUE + the number of the change that made it */
#define MARK 50                /* added to it while the reaper looks what is in use */
#define ROUNDS 2

byte root = 1;                 /* a block, or 0 */
byte word[BLOCKS + 1];         /* of a node: the elem's block */
bool used[BLOCKS + 1];
byte count = 1;
byte seq;
bool locked;
bool dead, reaperDead;
byte changes;
byte committed;                /* the last change that readers can see */

inline take(b) {
  d_step {
    b = 1;
    do :: used[b] -> b++ :: else -> break od;
    used[b] = true
  }
}

inline give(b) { word[b] = LINK; used[b] = false }

inline giveOld() {
  if
  :: oldNode != 0 -> oldElem = word[oldNode]; give(oldElem); give(oldNode)
  :: else -> skip
  fi
}

inline publish(n) {
#ifndef BUG_NO_SEQ
  seq = seq + 1;
#endif
  atomic { root = n; committed = changes };     /* commit */
  count = (n != 0);
#ifndef BUG_NO_SEQ
  seq = seq + 1
#endif
}

inline change() {
  oldNode = root;
  changes++;
#ifdef BUG_GIVE_FIRST
  giveOld();
#endif
  if
  :: take(elem);
     word[elem] = VALUE + changes;
     take(node);
#ifdef BUG_FILL_LATE
     publish(node);
     word[node] = elem
#else
     word[node] = elem;
     publish(node)
#endif
#ifndef STAYS
  :: oldNode != 0 -> publish(0)
#endif
  fi;
#ifndef BUG_GIVE_FIRST
  giveOld()
#endif
}

proctype writer() {
  byte elem, node, oldNode, oldElem, n = ROUNDS;
  {
    do
    :: n > 0 -> n--; locked = true; change(); atomic { locked = false; elem = 0; node = 0; oldNode = 0; oldElem = 0 }
    :: n == 0 -> break
    od
  } unless { dead }
}

/* Makes again what follows from the root. */
proctype reaper(bool mortal) {
  byte b;
  {
    if
    :: locked ->
#ifndef BUG_REPAIR_WHILE_EVEN
       seq = seq | 1;
#endif
       b = 1;
       do
       :: b <= BLOCKS -> word[b] = word[b] % MARK; b++
       :: else -> break
       od;
       if
       :: root != 0 -> b = word[root]; word[b] = word[b] + MARK
       :: else -> b = 0
       fi;
       count = (root != 0);
       d_step {
         b = 1;
         do
         :: b <= BLOCKS ->
            used[b] = (b == root || word[b] >= MARK);
            if :: used[b] -> word[b] = word[b] % MARK :: else -> word[b] = LINK fi;
            b++
         :: else -> break
         od;
         b = 0
       };
#ifdef BUG_REPAIR_NO_BUMP
       seq = (seq | 1) - 1;
#else
       seq = (seq | 1) + 1;
#endif
       locked = false
    :: else -> skip
    fi
  } unless { mortal && reaperDead }
}

proctype reader() {
  byte s, at, found, since;
again:
  atomic { seq % 2 == 0; s = seq; since = committed; at = 0; found = 0 };
  at = root;
  if
  :: at == 0 ->
     if
     :: seq != s -> goto again
     :: else
     fi;
#ifdef STAYS
     assert(false)
#endif
  :: else ->
#ifndef BUG_FOLLOW_BLINDLY
     if :: seq != s -> goto again :: else fi;
#endif
     found = word[at];
#ifndef BUG_FOLLOW_BLINDLY
     if :: seq != s -> goto again :: else fi;
#endif
     assert(found >= 1 && found <= BLOCKS);
     found = word[found];
#ifndef BUG_NO_LAST_LOOK
     if :: seq != s -> goto again :: else fi;
#endif
     assert(found >= VALUE + since && found <= VALUE + changes)
  fi
}

init {
  atomic {
    word[1] = 2; word[2] = VALUE; used[1] = true; used[2] = true;
    word[3] = LINK; word[4] = LINK; word[5] = LINK;
    run writer(); run reader()
  };
  if
  :: atomic { dead = true; run reaper(true) };
     if :: atomic { reaperDead = true; run reaper(false) } :: true fi
  :: true
  fi;
  _nr_pr == 1;
  assert(!locked && seq % 2 == 0 && count == (root != 0));
  byte b = 1;
  do
  :: b <= BLOCKS -> assert(used[b] == (root != 0 && (b == root || b == word[root]))); b++
  :: else -> break
  od
}
