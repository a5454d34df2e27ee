/*
 * Two locks, one taken inside the other, and a holder that dies: the take-over by reap (kernel/lock.ts), innermost
 * first.
 *
 * Lock A is the outer one, B the inner. Tasks 1 and 3 take A then B, task 2 B only. Task 3 may die between any two
 * steps, the first reaper too. What A guards says how often the inner section was begun (p) and ended (q); B guards
 * two words, a and b, which are written with a redo record and count the inner sections. Between the sections p, q, a
 * and b are equal.
 *
 * The repair of what B guards is to finish the copy, if the redo record is armed; that of what A guards is to look at
 * a, and so to find out if the inner section took place. So it needs B repaired.
 *
 * Abstracted: sleeping (lock.pml), the intents of those who live. Memory order as in lock.pml.
 *
 * Invariants: whoever takes a lock finds what it guards whole; nobody waits for ever; every committed section counts.
 */
#define A 0
#define B 1
#define NONE 2
#define MORTAL 3

byte owner[2];
byte list[2] = NONE;           /* task 3's task.locks */
bool armed; byte shadow;       /* its task.redo */
byte p, q, a, b;
byte committed;                /* only for the checks */
bool dead, reaperDead;

#define acquireA(me) atomic { owner[A] == 0 -> owner[A] = me; assert(p == q && p == a) }
#define acquireB(me) atomic { owner[B] == 0 -> owner[B] = me; assert(a == b) }

proctype outerTask() {
  byte rounds = 2;
  do
  :: rounds > 0 ->
     rounds--;
     acquireA(1);
     p++;
     acquireB(1);
     d_step { a++; committed++ };
     b++;
     owner[B] = 0;
     q++;
     owner[A] = 0
  :: rounds == 0 -> break
  od
}

proctype innerTask() {
  byte rounds = 2;
  do
  :: rounds > 0 -> rounds--; acquireB(2); owner[B] = 0
  :: rounds == 0 -> break
  od
}

proctype mortalTask() {
  {
    list[0] = A;
    acquireA(MORTAL);
    p++;
#ifndef BUG_INTENT_LATE
    list[1] = B;
#endif
    acquireB(MORTAL);
#ifdef BUG_INTENT_LATE
    list[1] = B;
#endif
    shadow = a + 1;
    d_step { armed = true; committed++ };
    a = shadow;
    b = shadow;
    armed = false;
#ifdef BUG_CLEAR_EARLY
    list[1] = NONE;
    owner[B] = 0;
#else
    owner[B] = 0;
    list[1] = NONE;
#endif
    q++;
    owner[A] = 0;
    list[0] = NONE
  } unless { dead }
}

inline reapEntry(i) {
  if
  :: list[i] == A && owner[A] == MORTAL ->
     p = a;
     q = a;
     owner[A] = 0
  :: list[i] == B && owner[B] == MORTAL ->
     if :: armed -> a = shadow; b = shadow; armed = false :: else -> skip fi;
     owner[B] = 0
  :: else -> skip
  fi;
  list[i] = NONE
}

proctype reaper(bool mortal) {
  {
#ifdef BUG_OUTER_FIRST
    reapEntry(0);
    reapEntry(1)
#else
    reapEntry(1);
    reapEntry(0)
#endif
  } unless { mortal && reaperDead }
}

init {
  atomic { run outerTask(); run innerTask(); run mortalTask() };
  if
  :: atomic { dead = true; run reaper(true) };
     if :: atomic { reaperDead = true; run reaper(false) } :: true fi
  :: true
  fi;
  _nr_pr == 1;
  assert(owner[A] == 0 && owner[B] == 0 && !armed && list[0] == NONE && list[1] == NONE);
  assert(p == committed && q == committed && a == committed && b == committed)
}
