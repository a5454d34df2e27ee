/*
 * The gate: standStill and goOn (kernel/lock.ts) against tasks that enter critical sections.
 *
 * Locks, outermost first: 1 tables, 2 and 3 a line's and a pool's. Task 1 takes 2 then 3, task 2 takes 1 then 3, task
 * 3 stands still: it takes 1, sets `still`, and waits until nobody is inside. Task 1 or task 3 may die between any
 * two steps, and task 4 reaps it.
 *
 * Abstracted: sleeping on locks and on `still` (lock.pml): who waits is a guard. The repair itself.
 *
 * Memory order: it is Dekker's: a task stores its intent, takes the lock, and loads `still`; the gater sets `still`
 * and loads the intents. The intent is a plain store, so it may stay in the store buffer (`buffered`: one entry,
 * which may drain at any time; the gater, who alone looks, sees it or not) until the read-modify-write that takes the
 * lock. So with a lock that is taken by a plain store (BUG_PLAIN_LOCK) the gater can miss it. The load of `still` is
 * an atomic one. The intent must not be seen cleared before the lock is seen released: BUG_CLEAR_EARLY has that
 * order.
 *
 * Invariants: while the gater is still, nobody is past the gate, and no dead task's lock is unrepaired that it held
 * so; nobody waits for ever.
 */
#define TABLES 1
#define MORTAL 1
#define GATER 3
#define REAPER 4

byte owner[4];                  /* the lock words */
byte outer[4], inner[4];        /* task.locks[0] and [1] */
bool buffered[4];               /* outer[me] is not yet seen by others */
byte still;
byte dead;
/* Only for the checks: the gater is still; who is past the gate. */
bool isStill, past[4];

/* Takes w at depth 0. */
inline lockOuter(me, w) {
  do
  :: d_step { outer[me] = w; buffered[me] = true };
#ifdef BUG_GATE_BEFORE
     atomic { still == 0 || still == me };
     atomic { owner[w] == 0 -> owner[w] = me; buffered[me] = false; past[me] = true; assert(!isStill); break }
#else
#ifdef BUG_PLAIN_LOCK
     atomic { owner[w] == 0 -> owner[w] = me };
#else
     atomic { owner[w] == 0 -> owner[w] = me; buffered[me] = false };
#endif
     atomic {
       if
       :: still == 0 || still == me -> past[me] = true; assert(!isStill || still == me); break
       :: else -> skip
       fi
     };
     owner[w] = 0;
     d_step { outer[me] = 0; buffered[me] = false };
     still == 0
#endif
  od
}

inline unlockOuter(me, w) {
#ifdef BUG_CLEAR_EARLY
  outer[me] = 0;
  d_step { owner[w] = 0; past[me] = false }
#else
  d_step { owner[w] = 0; buffered[me] = false; past[me] = false };
  outer[me] = 0
#endif
}

proctype task(byte me; byte w) {
  byte rounds = 2;
  {
    do
    :: rounds > 0 ->
       rounds--;
       lockOuter(me, w);
       inner[me] = 3;
       atomic { owner[3] == 0 -> owner[3] = me; assert(!isStill) };
#ifdef BUG_INNER_LOOKS
       still == 0;
#endif
       d_step { owner[3] = 0; assert(!isStill) };
       inner[me] = 0;
       unlockOuter(me, w)
    :: rounds == 0 -> break
    od
  } unless { dead == me }
}

/* Waits until task t is not inside: it owns no lock of its list. One it may still take, it takes after `still` was set. */
inline waitFor(t) {
  do
  :: atomic {
       if :: buffered[t] -> w = 0 :: w = outer[t] fi
     };
#ifdef BUG_SKIP_DEAD
     if :: w == 0 || dead == t || owner[w] != t -> break :: else -> owner[w] != t fi
#else
     if :: w == 0 || owner[w] != t -> break :: else -> owner[w] != t fi
#endif
  od;
  w = 0
}

proctype gater() {
  byte w;
  {
    lockOuter(GATER, TABLES);
#ifndef BUG_STILL_PLAIN
    still = GATER;
#endif
    waitFor(1);
    waitFor(2);
    d_step { isStill = true; assert(!past[1] && !past[2]) };
#ifdef BUG_STILL_PLAIN
    still = GATER;
#endif
    d_step { assert(!past[1] && !past[2]); isStill = false };
    still = 0;
    unlockOuter(GATER, TABLES)
  } unless { dead == GATER }
}

/* Takes no lock before it has released all of the dead one's: who holds it may be waiting for one of them, as the gater does
 * with the tables lock. */
proctype reaper() {
#ifdef BUG_REAPER_TAKES_TABLES
  if
  :: dead != GATER -> atomic { owner[TABLES] == 0 -> owner[TABLES] = REAPER }
  :: else -> skip
  fi;
#endif
#ifndef BUG_STILL_LEFT
  if :: still == dead -> d_step { still = 0; isStill = false } :: else -> skip fi;
#endif
  if :: inner[dead] != 0 && owner[inner[dead]] == dead -> owner[inner[dead]] = 0 :: else -> skip fi;
  inner[dead] = 0;
  if
  :: outer[dead] != 0 && owner[outer[dead]] == dead -> d_step { owner[outer[dead]] = 0; past[dead] = false }
  :: else -> skip
  fi;
  outer[dead] = 0;
#ifdef BUG_REAPER_TAKES_TABLES
  if :: owner[TABLES] == REAPER -> owner[TABLES] = 0 :: else -> skip fi
#endif
}

init {
  atomic { run task(1, 2); run task(2, TABLES); run gater() };
#ifndef NO_DEATH
  if
  /* Its store buffer drains. */
  :: atomic { if :: dead = MORTAL :: dead = GATER fi; buffered[dead] = false; run reaper() }
  :: true
  fi;
#endif
  _nr_pr == 1;
  assert(still == 0 && !isStill && owner[1] == 0 && owner[2] == 0 && owner[3] == 0)
}
