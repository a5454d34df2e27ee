/*
 * Locks that survive their holder: lock, unlock and sleeping (kernel/lock.ts), and the take-over by reap.
 *
 * Tasks 1 and 2 live, task 3 may die between any two of its steps, or never. Task 3's death becomes known some time
 * later; then a reaper takes over, which may itself die at any step; then a second one starts from the beginning.
 *
 * Abstracted: the spin before sleeping (an attempt that fails changes nothing, and may be repeated); the lock word's
 * two parts, owner and WAITERS, are two variables that are only touched together, in one step. A time-out that finds
 * the word as it was goes back to sleep and has changed nothing, so it is no step: a sleeper wakes when it is
 * notified, or (unless NO_TIMEOUTS) at any time after the word has changed. So one who sleeps for ever is a deadlock
 * to spin.
 *
 * Memory order: the intent is a plain store; the compare-and-swap of the lock word after it orders it. Who reaps
 * looks after the host has learned of the death, so it sees all that the dead one stored, in program order.
 *
 * Invariants:
 * - one task at most is in the critical section; nobody waits for ever;
 * - two words, a and b, are equal whenever somebody enters; at the end they count every section that was committed,
 *   the dead one's too: it is committed once its redo record is armed;
 * - when all is over, the lock is free.
 * With NO_TIMEOUTS the same holds: no wake-up is lost, not even by a death, because the reaper notifies for every
 * lock in the dead one's list, whether it owned it or not (it may have died between release and notify, or just after
 * it was woken). If it did not (BUG_REAPER_SILENT), a waiter would sleep until its time-out.
 */
#define MORTAL 3

byte owner;              /* the lock word: 0 is free */
bool waiters;
bool asleep[4];
bool intent;             /* task 3's task.locks: the one lock, or none */
bool armed;              /* task 3's task.redo */
byte shadow;
byte a, b;               /* what the lock guards */

bool dead, reaperDead;   /* told by the host */
byte inside;             /* who is in the critical section: only for the checks */
byte committed;
byte finished;

inline notifyOne() {
  atomic {
    if
    :: asleep[1] -> asleep[1] = false
    :: asleep[2] -> asleep[2] = false
    :: asleep[3] -> asleep[3] = false
    :: else -> skip
    fi
  }
}

#ifdef NO_TIMEOUTS
#define timedOut false
#else
#define timedOut (owner != seen || !waiters)
#endif

inline enter(me) {
  assert(inside == 0);
  inside = me;
  assert(a == b)
}

inline lock(me) {
  do
  :: atomic { owner == 0 -> owner = me; waiters = slept; slept = false; enter(me); break }
  :: atomic { owner != 0 -> waiters = true; seen = owner };
     /* Atomics.wait: sleeps if the word is still what was seen. */
     atomic { if :: owner == seen && waiters -> asleep[me] = true :: else -> seen = 0 fi };
     atomic { !asleep[me] || timedOut -> asleep[me] = false; seen = 0; slept = true }
  od
}

inline release() {
#ifdef BUG_FORGET_WAITERS
  d_step { owner = 0; waiters = false }
#else
  d_step { hadWaiters = waiters; owner = 0; waiters = false };
  if :: hadWaiters -> atomic { hadWaiters = false; notifyOne() } :: else -> skip fi
#endif
}

inline writeWithRedo(me) {
  shadow = a + 1;
#ifdef BUG_REDO_LATE
  a = shadow;
  d_step { armed = true; committed++ };
#else
  d_step { armed = true; committed++ };
  a = shadow;
#endif
  b = shadow;
  d_step { armed = false; inside = 0 }
}

/* A task that lives: nobody looks at its intent or its redo record, so it has none. */
proctype task(byte me) {
  byte seen; bool slept, hadWaiters;
  lock(me);
  atomic { a++; b++; committed++; inside = 0 };
  release();
  finished++
}

proctype mortalTask() {
  byte seen; bool slept, hadWaiters;
  {
#ifndef BUG_INTENT_LATE
    intent = true;
#endif
    lock(MORTAL);
#ifdef BUG_INTENT_LATE
    intent = true;
#endif
    writeWithRedo(MORTAL);
    release();
    intent = false
  } unless { dead };
  finished++
}

proctype reaper(bool mortal) {
  bool hadWaiters;
  {
    if
    :: intent ->
       if
#ifdef BUG_NO_OWNER_CHECK
       :: true ->
#else
       :: owner == MORTAL ->
#endif
          if
          :: armed -> a = shadow; b = shadow; armed = false
          :: else -> skip
          fi;
          if :: inside == MORTAL -> inside = 0 :: else -> skip fi;
          release()
       :: else -> skip
       fi;
#ifndef BUG_REAPER_SILENT
       notifyOne();
#endif
       intent = false
    :: else -> skip
    fi
  } unless { mortal && reaperDead };
  finished++
}

init {
  atomic { run task(1); run task(2); run mortalTask() };
  if
  :: atomic { true -> dead = true; asleep[MORTAL] = false; run reaper(true) };
     if :: reaperDead = true; run reaper(false) :: finished++ fi
  :: finished = finished + 2
  fi;
  finished == 5;
  assert(owner == 0 && !waiters && a == b && a == committed)
}
