/*
 * Overflow lines of the hash (kernel/maps): claimed, linked, unlinked and freed, with a death anywhere.
 *
 * Two home lines, A and B, and two overflow lines, which are claimed without a lock of their own. Task 1 works on
 * home A, task 2 on home B: it frees a line of its chain, or hangs a new one to its end; A's task twice, B's once, or
 * twice with REAPER_LIVES. Task 1 may die between any two steps; the reaper may die too, and a second one starts from
 * the beginning. A reader looks up a key of home A that is there all the time, in the last line of its chain at the
 * start, behind one that may be freed. It may find itself in a chain of B's.
 *
 * Abstracted: the homes' locks but for their owner's being dead (lock.pml); cells (line.pml): a line is empty, or
 * holds the permanent key.
 *
 * Memory order: spare is a plain store; the compare-and-swap of the line's home orders it before the claim, and for a
 * free only a death looks at it, which sees the stores in program order. `next` is stored atomically, seq too.
 *
 * Invariants:
 * - a line is in the chain that its home says, or free and in none, whenever no lock is held: none is lost, none in
 *   two chains;
 * - a line is never claimed while it hangs in a chain;
 * - the reader finds its key.
 */
#define A 0
#define B 1
#define O1 2
#define O2 3
#define NONE 0                 /* next: home line A is nobody's next */
#define MORTAL 1
#ifdef REAPER_LIVES
#define B_ROUNDS 2
#else
#define B_ROUNDS 1
#endif

byte next[4];
byte home[4];                  /* 0 free, else home line + 1 */
byte keyIn = O2;               /* the line that holds the permanent key of home A */
byte seqA;
byte spare;                    /* task 1's: an overflow line, or 0 */
bool lockedA;                  /* by task 1: the other home's lock has one user */
bool dead, reaperDead;

#define inChain(line, head) (next[head] == line || (next[head] != NONE && next[next[head]] == line))

inline bump(h) { if :: h == A -> seqA = seqA + 2 :: else -> skip fi }
inline intend(me, line) { if :: me == MORTAL -> spare = line :: else -> skip fi }

/* Hangs a free line to the end of h's chain, if there is one. */
inline extend(me, h) {
  line = O1;
  do
  :: line <= O2 ->
#ifndef BUG_SPARE_LATE
     intend(me, line);
#endif
     if
     :: atomic { home[line] == 0 -> assert(!inChain(line, A) && !inChain(line, B)); home[line] = h + 1 }
#ifdef BUG_SPARE_LATE
        intend(me, line);
#endif
        next[line] = NONE;
        d_step {
          last = h;
          do :: next[last] != NONE -> last = next[last] :: else -> break od;
          next[last] = line;                    /* commit */
          last = 0
        };
        break
     :: home[line] != 0 -> line++
     fi
  :: else -> break
  od;
  atomic { line = 0; intend(me, 0) }
}

/* Frees the first line of h's chain, if it is empty. */
inline shrink(me, h) {
  line = next[h];
  if
  :: line != NONE && line != keyIn ->
#ifndef BUG_FREE_WITHOUT_SPARE
     intend(me, line);
#endif
     next[h] = next[line];                      /* commit */
#ifndef BUG_BUMP_LATE
     bump(h);
#endif
     home[line] = 0;
#ifdef BUG_BUMP_LATE
     bump(h);
#endif
     atomic { line = 0; intend(me, 0) }
  :: else -> line = 0
  fi
}

inline work(me, h, n) {
  do
  :: n > 0 -> n--; if :: extend(me, h) :: shrink(me, h) fi
  :: n == 0 -> break
  od
}

proctype task(byte me; byte h) {
  byte line, last, n = (h == A -> 2 : B_ROUNDS);
  {
    if :: h == A -> lockedA = true :: else -> skip fi;
    work(me, h, n);
    if :: h == A -> lockedA = false :: else -> skip fi
  } unless { me == MORTAL && dead }
}

/* The bump comes before the free: a reader may stand on the line that the dead one had unlinked. */
proctype reaper(bool mortal) {
  {
    if
    :: lockedA ->
#ifndef BUG_REPAIR_NO_BUMP
       bump(A);
#endif
       if
#ifdef BUG_NO_CHAIN_CHECK
       :: spare != 0 && home[spare] == A + 1 ->
#elif defined(BUG_NO_HOME_CHECK)
       :: spare != 0 && !inChain(spare, A) ->
#else
       :: spare != 0 && home[spare] == A + 1 && !inChain(spare, A) ->
#endif
          home[spare] = 0
       :: else -> skip
       fi;
       spare = 0;
       lockedA = false
    :: else -> skip
    fi
  } unless { mortal && reaperDead }
}

proctype reader() {
  byte s, at;
  do
  :: s = seqA;
     at = A;
     do
     :: at != keyIn && next[at] != NONE -> at = next[at]
     :: else -> break
     od;
     if
     :: at == keyIn -> break
     :: at != keyIn && seqA == s -> assert(false)     /* missed */
     :: at != keyIn && seqA != s -> atomic { at = 0; s = 0 }
     fi
  od
}

init {
  atomic {
    next[A] = O1; next[O1] = O2; home[O1] = A + 1; home[O2] = A + 1;
    run task(1, A); run task(2, B); run reader()
  };
  if
  :: atomic { dead = true; run reaper(true) }
#ifndef REAPER_LIVES
     ; if :: atomic { reaperDead = true; run reaper(false) } :: true fi
#endif
  :: true
  fi;
  _nr_pr == 1;
  assert(!lockedA && spare == 0);
  assert(inChain(O1, A) == (home[O1] == A + 1) && inChain(O1, B) == (home[O1] == B + 1));
  assert(inChain(O2, A) == (home[O2] == A + 1) && inChain(O2, B) == (home[O2] == B + 1));
  assert(keyIn == O2 && home[O2] == A + 1)
}
