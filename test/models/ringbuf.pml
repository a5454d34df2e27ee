/*
 * Ring buffers: writers reserve and commit, one reader waits for records (kernel/maps/ringbuf.ts, and awaitRing in
 * src/kernels/embedded/direct_ring.ts).
 *
 * Writer 1 lives, writer 2 may die between any two of its steps; then a reaper takes over (LET_GO). Each writes one or two records, or
 * finds the ring full and loses one. The reader reads all that are there, releases them, and sleeps until it is woken.
 *
 * Abstracted: records have one size, a slot; a record's bytes are two words; the ring's lock is a guard (lock.pml). The word that is
 * waited on is two variables that are touched together, in one step: whether somebody waits, and how often they were woken. A waker
 * loads it and stores it in two steps.
 *
 * Memory order: all stores here but those of a record's bytes are atomic ones, and so in one order.
 *
 * Invariants:
 * - no record is read torn, twice, or out of its writer's order; all that were committed are read, each reservation is whose it was;
 * - the reader does not sleep for ever while there is something to read: at the end it has read all.
 */
#define SLOTS 2
/* More than there is room for, or enough to die in. */
#ifdef NO_DEATH
#define RECORDS(me) (3 - me)
#else
#define RECORDS(me) 1
#endif
#define MORTAL 2
#define REAPER 3

mtype = { FREE, BUSY, READY, DISCARDED };

byte prod, cons;
mtype state[SLOTS] = FREE;   /* of a slot's header: its flags, */
byte by[SLOTS];              /* and who has reserved it */
byte a[SLOTS], b[SLOTS];     /* the record's bytes */
byte owner;                  /* the lock */
bool armed;                  /* the word */
byte stamp;
bool asleep;

bool dead;
byte finished;
/* Only for the checks: how many records were committed and not read yet; the last number read of each writer. */
byte unread, last[3];

inline take(me, from) {
#ifndef BUG_NO_LOCK
  atomic { owner == 0 -> owner = me; pos = from }
#else
  pos = from
#endif
}

inline release(me) {
  if :: owner == me -> owner = 0 :: else -> skip fi
}

inline wake() {
  d_step { wasArmed = armed; was = stamp };
  if
  :: wasArmed -> d_step { wasArmed = false; armed = false; stamp = was + 1; was = 0 }; asleep = false
  :: else -> was = 0
  fi
}

inline reserve(me) {
  take(me, prod);
  if
  :: pos - cons < SLOTS ->
     hasRoom = true;
#ifdef BUG_PUBLISH_FIRST
     prod = pos + 1;
     d_step { state[pos % SLOTS] = BUSY; by[pos % SLOTS] = me };
#else
     d_step { state[pos % SLOTS] = BUSY; by[pos % SLOTS] = me };
     prod = pos + 1;
#endif
     release(me)
  :: else -> release(me); wake()
  fi
}

inline commit(me, mark) {
#ifdef BUG_WAKE_FIRST
  if :: cons == pos -> wake() :: else -> skip fi;
#endif
  atomic {
    /* Else -EINVAL. */
    assert(state[pos % SLOTS] == BUSY && by[pos % SLOTS] == me);
    state[pos % SLOTS] = mark;
    if :: mark == READY -> unread++ :: else -> skip fi
  };
#ifndef BUG_WAKE_FIRST
  if :: cons == pos -> wake() :: else -> skip fi
#endif
}

inline writeAll(me) {
  do
  :: n < RECORDS(me) ->
     n++;
     reserve(me);
     if
     :: hasRoom ->
        hasRoom = false;
        if
        :: 
#ifdef BUG_SUBMIT_FIRST
           commit(me, READY);
           a[pos % SLOTS] = 10 * me + n;
           b[pos % SLOTS] = 10 * me + n
#else
           a[pos % SLOTS] = 10 * me + n;
           b[pos % SLOTS] = 10 * me + n;
           commit(me, READY)
#endif
        :: commit(me, DISCARDED)
        fi
     :: else -> skip
     fi;
     pos = 0
  :: else -> break
  od
}

proctype writer() {
  byte n, pos, was; bool hasRoom, wasArmed;
  writeAll(1);
  finished++
}

proctype mortalWriter() {
  byte n, pos, was; bool hasRoom, wasArmed;
  { writeAll(MORTAL) } unless { dead };
  finished++
}

proctype reaper() {
  byte pos;
  release(MORTAL);
  take(REAPER, cons);
  do
  :: pos < prod ->
     if
#ifdef BUG_DISCARD_ALL
     :: state[pos % SLOTS] == BUSY -> state[pos % SLOTS] = DISCARDED
#else
#ifndef BUG_LEFT_BUSY
     :: state[pos % SLOTS] == BUSY && by[pos % SLOTS] == MORTAL -> state[pos % SLOTS] = DISCARDED
#endif
#endif
     :: else -> skip
     fi;
     pos++
  :: else -> break
  od;
  pos = 0;
  release(REAPER);
#ifndef BUG_REAPER_SILENT
  d_step { armed = false; stamp++ };
  asleep = false;
#endif
  finished++
}

/* What lies in slots that are free makes no difference: it is taken away, to have fewer states. */
inline moveTo(to) {
  d_step {
    do
    :: cons < to ->
       state[cons % SLOTS] = FREE; by[cons % SLOTS] = 0; a[cons % SLOTS] = 0; b[cons % SLOTS] = 0;
       cons++
    :: else -> break
    od
  }
}

inline readOne() {
  first = a[at % SLOTS];
  d_step {
    second = b[at % SLOTS];
    assert(first == second);
    assert(first / 10 == by[at % SLOTS] && first % 10 > last[first / 10]);
    last[first / 10] = first % 10;
    unread--;
    first = 0; second = 0; at++
  }
}

active proctype reader() {
  byte at, first, second, seen; bool seenArmed;
again:
  do
  :: at == prod -> break
  :: at != prod ->
     if
     :: state[at % SLOTS] == BUSY ->
#ifdef BUG_SKIP_BUSY
        at++
#else
        break
#endif
     :: atomic { state[at % SLOTS] == DISCARDED -> at++ }
     :: state[at % SLOTS] == READY ->
#ifdef BUG_RELEASE_EARLY
        moveTo(at + 1);
#endif
        readOne()
     :: state[at % SLOTS] == FREE -> assert(false)
     fi
  od;
#ifndef BUG_RELEASE_LATE
  moveTo(at);
#endif
#ifndef BUG_ARM_LATE
  armed = true;
#endif
  d_step { seen = stamp; seenArmed = armed };
#if !defined(BUG_SLEEP_UNARMED) && !defined(BUG_ARM_LATE)
  if :: !seenArmed -> seen = 0; goto again :: else -> skip fi;
#endif
  if
  :: prod != at && state[at % SLOTS] != BUSY -> d_step { seen = 0; seenArmed = false }; goto again
  :: else -> skip
  fi;
#ifdef BUG_ARM_LATE
  d_step { armed = true; seenArmed = true };
#endif
#ifdef BUG_RELEASE_LATE
  moveTo(at);
#endif
  /* Atomics.wait: sleeps if the word is still what was seen. */
  atomic {
    if :: stamp == seen && armed == seenArmed -> asleep = true :: else -> skip fi;
    seen = 0; seenArmed = false
  };
end:
  !asleep;
  goto again
}

init {
  atomic { run writer(); run mortalWriter() };
#ifdef NO_DEATH
  finished++;
#else
  if
  :: atomic { true -> dead = true; run reaper() }
  :: finished++
  fi;
#endif
  finished == 3;
  /* The reader comes to rest, and nothing is left. */
  asleep;
  assert(cons == prod && unread == 0)
}
