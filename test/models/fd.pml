/*
 * Close while in use (kernel/fd.ts, kernel/map.ts): a thread gets from an fd to its map without a lock, and a map is
 * not freed while somebody uses it.
 *
 * Tasks 1 and 2 use the fd, task 3 closes it, opens it again with a new map, which may get the same address, and
 * closes that. Task 1 or task 3 may die between any two steps, and is reaped by task 4. There is memory for two maps.
 *
 * Abstracted: a map has one fd, so its refs are 0 once the entry is; the tables lock is only taken and released
 * (lock.pml), and a dead owner's is taken over.
 *
 * Memory order: `using` is stored with an atomic store (a full barrier), then the entry is loaded again; the closer
 * stores the entry atomically, then loads the `using` words. Were one of these stores plain, it could be seen after
 * the load behind it: the BUG_..._PLAIN runs have the two in that order.
 *
 * Invariants: a map that somebody uses is not freed; when all is over, a map that has no fd is free.
 */
#define FREE 0
#define LIVE 1
#define CLOSED 2               /* on the list of dead maps */
#define REAPER 4

byte entry = 1;                 /* the fd: a map's address, 0 when closed */
byte state[3];
byte using[3];                  /* of the tasks 1 and 2 */
byte tables;                    /* the tables lock's owner */
byte dead;                      /* which task, 0 none */
byte at[3];                     /* only for the checks: the map that the tasks 1 and 2 work with */

/* collectDeadMaps: the tables lock is held. */
inline collect() {
  m = 1;
  do
  :: m <= 2 && state[m] == CLOSED ->
     kept = false;
#ifndef BUG_COLLECT_BLINDLY
     kept = using[1] == m;
     kept = kept || using[2] == m;
#endif
     if
     :: !kept -> d_step { assert(at[1] != m && at[2] != m); state[m] = FREE }
     :: else -> skip
     fi;
     m++
  :: m <= 2 && state[m] != CLOSED -> m++
  :: m > 2 -> break
  od;
  atomic { m = 0; kept = false }
}

proctype user(byte me) {
  byte w, again, rounds = 3 - me;
  {
    do
    :: rounds == 0 || entry == 0 -> break
    :: atomic { rounds > 0 && entry != 0 -> w = entry };
#ifdef BUG_USING_PLAIN
       again = entry;
       using[me] = w;
#else
       using[me] = w;
       again = entry;
#endif
#ifdef BUG_NO_SECOND_LOOK
       again = w;
#endif
       if
       :: again == w ->
          d_step { assert(state[w] != FREE); at[me] = w; rounds-- };
          d_step { assert(state[w] != FREE); at[me] = 0 }
       :: else -> skip
       fi;
       atomic { using[me] = 0; w = 0; again = 0 }
    od
  } unless { dead == me }
}

inline close() {
  m = entry;
#ifdef BUG_CLOSE_PLAIN
  state[m] = CLOSED;
  collect();
#else
  entry = 0;
  state[m] = CLOSED;
  collect();
#endif
  entry = 0
}

inline open() {
  if :: state[1] == FREE -> m = 1 :: state[2] == FREE -> m = 2 :: else -> skip fi;
  if :: m != 0 -> state[m] = LIVE; entry = m :: else -> skip fi;
  m = 0
}

proctype closer() {
  byte m; bool kept;
  {
    atomic { tables == 0 -> tables = 3 };
    close();
    tables = 0;
    atomic { tables == 0 -> tables = 3 };
    open();
    tables = 0;
    atomic { tables == 0 -> tables = 3 };
    if :: entry != 0 -> close() :: else -> skip fi;
    tables = 0
  } unless { dead == 3 }
}

/* The dead one's `using` is cleared, and if it held the tables lock, the refs of all maps are counted anew. */
proctype reaper() {
  byte m; bool kept;
#ifndef BUG_USING_NOT_CLEARED
  if
  :: dead < 3 -> atomic { at[dead] = 0; using[dead] = 0 }
  :: else -> skip
  fi;
#endif
  atomic { tables == 0 || tables == dead -> tables = REAPER };
#ifndef BUG_NO_RECOUNT
  d_step {
    if :: state[1] == LIVE && entry != 1 -> state[1] = CLOSED :: else -> skip fi;
    if :: state[2] == LIVE && entry != 2 -> state[2] = CLOSED :: else -> skip fi
  };
#endif
  collect();
  tables = 0
}

init {
  byte m; bool kept;
  atomic { state[1] = LIVE; run user(1); run user(2); run closer() };
  if
  :: atomic { if :: dead = 1 :: dead = 3 fi; run reaper() }
  :: true
  fi;
  _nr_pr == 1;
  /* The next who looks. */
  collect();
  assert(tables == 0 && using[1] == 0 && using[2] == 0);
  assert(state[1] == (entry == 1 -> LIVE : FREE) && state[2] == (entry == 2 -> LIVE : FREE))
}
