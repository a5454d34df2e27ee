/*
 * An insert that a full hash refuses (kernel/maps/_htab_ops.ts `isFullWithout`): without the line's lock, while others insert and delete
 * the same key, and an elem of another line.
 *
 * One elem fits. Who inserts counts first, and then stores the tag; who deletes takes the tag first, and then counts. Both hold
 * the line's lock, but for the other line's elem, which comes and goes in one step.
 *
 * Abstracted: death (who has died holds the lock until what he was at is settled: count.pml); other elems of the line.
 *
 * Memory order: all loads and stores are seen in their order.
 *
 * Invariant: who was refused has seen a moment at which the key was not there and the map full.
 */
#define MOST 1

byte lock, count, seq;
bool tag;

/* Only for the check: elems of other lines; whether the refused one may have been so, since it began. */
byte others;
bool wasFull;

inline note() { if :: !tag && others == MOST -> wasFull = true :: else -> skip fi }

inline insert() {
  atomic { lock == 0 -> lock = 1 };
  if
  :: !tag ->
     if
     :: atomic { count < MOST -> count++ };
        atomic { tag = true; note() }
     :: else -> skip
     fi
  :: else -> skip
  fi;
  lock = 0
}

inline delete() {
  atomic { lock == 0 -> lock = 1 };
  if
  :: tag -> atomic { tag = false; note() }; seq = seq + 2; count--
  :: else -> skip
  fi;
  lock = 0
}

proctype changer() {
  if :: insert() :: delete() fi;
  if :: insert() :: delete() fi
}

proctype other() {
  byte i;
  for (i : 0 .. 2) {
    if
    :: atomic { count < MOST -> count++; others++; note() }
    :: atomic { others > 0 -> count--; others--; note() }
    :: skip
    fi
  }
}

proctype refused() {
  byte s;
  atomic { note(); s = seq };
#ifndef BUG_NO_FIRST_LOOK
  if :: lock != 0 -> goto slow :: else -> skip fi;
#endif
  if :: count < MOST -> goto slow :: else -> skip fi;
#ifndef BUG_NO_SECOND_LOOK
  if :: lock != 0 -> goto slow :: else -> skip fi;
#endif
  if :: tag -> goto slow :: else -> skip fi;
#ifndef BUG_NO_THIRD_LOOK
  if :: lock != 0 -> goto slow :: else -> skip fi;
#endif
#ifndef BUG_NO_SEQ
  if :: seq != s -> goto slow :: else -> skip fi;
#endif
  assert(wasFull);
slow:
  skip
}

init {
  atomic {
    if
    :: tag = true; count = 1
    :: count = 1; others = 1
    :: skip
    fi;
    run changer();
    run changer();
    run other();
    run refused()
  }
}
