/*
 * The count of elems (kernel/maps): a counter that survives its adder, or detectable compare-and-swap.
 *
 * Task D may die anywhere; who reaps it, R, may die too; then S reaps R, and then D. Tasks 4 and 5 live. There are
 * two maps, each with at most MAX elems; D inserts and deletes an elem of its own in either, the others in the first.
 * R's death is a run of its own (REAPER_DIES), with task 4 only.
 *
 * Abstracted: the lines' locks. `kind` != NONE stands for: it died with the line's lock held (kind is cleared before
 * the release). Those who never die need no ack here. Op numbers wrap at WRAP instead of 2^20: within one wrap all
 * holds. A helper that stalls for a whole one, just where it may ack, and a death in the very op with the same
 * number, would deceive the reaper (-DREAPER_DIES -DROUNDS=4 shows it): that is as far as it goes.
 *
 * Memory order: the op's kind, map and number are one word, or kind is stored last; the compare-and-swap of the count
 * orders them. The reaper loads the word first, then ack.
 *
 * Invariant: a map's count is never below the number of its elems, nor above MAX, and equal to it when all is over.
 *
 * The rules: a helper acks (t, q) only if t's op of this very moment is number q in this map, and by a
 * compare-and-swap from what ack was before it looked: whatever it saw too long ago, it can't overwrite a newer ack.
 * The reaper asks whether ack is EQUAL to the op's number. A new op takes no number that would be evidence already.
 */
#define D 1
#define R 2
#define S 3
#define MAX 2
#define NONE 0
#define INSERT 1
#define DELETE 2
#define UNDO 3                  /* of D's op */
#ifndef ROUNDS
#define ROUNDS 3
#endif
#ifndef WRAP
#define WRAP 4
#endif
#define next(s) ((s + 1) % WRAP)

byte count[2], by[2], op[2];    /* the count's word of each map */
byte ack[3], kind[3], map[3], num[3];  /* of the tasks D and R */
bool committed[2];              /* D's elem of each map: its tag */
byte elems[2];                  /* only for the checks */
bool dead, reaperDead;

#define isNow(t, m, q) (kind[t] != NONE && map[t] == m && num[t] == q)

/* Before task t's last add in this map leaves the word, t is told that it took place. */
inline tell(t, m, q) {
#ifdef BUG_ACK_FORGOTTEN
  skip
#elif defined(BUG_ACK_STALE)
  if :: isNow(t, m, q) -> ack[t] = q :: else -> skip fi
#elif defined(BUG_ACK_MODULO)
  do
  :: a = ack[t];
     atomic {
       if
       :: (q + WRAP - a) % WRAP == 0 || (q + WRAP - a) % WRAP > 1 -> break
       :: else -> if :: ack[t] == a -> ack[t] = q; break :: else -> skip fi
       fi
     }
  od
#else
  do
  :: a = ack[t];
     if
     :: a == q || !isNow(t, m, q) -> break
     :: else -> atomic { if :: ack[t] == a -> ack[t] = q; break :: else -> skip fi }
     fi
  od;
  a = 0
#endif
}

inline add(me, m, delta) {
  do
  :: d_step { c = count[m]; t = by[m]; q = op[m] };
     if
     :: delta > 0 && c == MAX -> refused = true; break
     :: else ->
        if :: (t == D || t == R) && t != me -> tell(t, m, q) :: else -> skip fi;
        atomic {
          if
          :: count[m] == c && by[m] == t && op[m] == q ->
             count[m] = c + delta; by[m] = me; op[m] = (me <= R -> num[me] : 0);
             assert(count[m] <= MAX && count[m] >= elems[m]);
             break
          :: else -> skip
          fi
        }
     fi
  od;
  atomic { c = 0; t = 0; q = 0 }
}

inline begin(me, k, m) {
  d_step {
    n = next(num[me]);
#ifndef BUG_ACK_MODULO
    do :: ack[me] == n || (by[m] == me && op[m] == n) -> n = next(n) :: else -> break od
#endif
  };
#ifdef BUG_KIND_FIRST
  d_step { kind[me] = k; map[me] = m };
  d_step { num[me] = n; n = 0 }
#else
  d_step { kind[me] = k; map[me] = m; num[me] = n; n = 0 }
#endif
}

inline decide(d) {
#ifdef BUG_REAPER_ACK_FIRST
  took = ack[d] == num[d];
  took = took || (by[map[d]] == d && op[map[d]] == num[d])
#else
  took = by[map[d]] == d && op[map[d]] == num[d];
#ifdef BUG_ACK_MODULO
  took = took || (ack[d] + WRAP - num[d]) % WRAP < 2
#else
  took = took || ack[d] == num[d]
#endif
#endif
}

proctype mortalTask() {
  byte c, t, q, a, n, m, rounds = ROUNDS; bool refused;
  {
    do
    :: rounds > 0 ->
       atomic { rounds--; if :: m = 0 :: m = 1 fi };
       if
       :: !committed[m] ->
          begin(D, INSERT, m);
          add(D, m, 1);
          if :: !refused -> d_step { committed[m] = true; elems[m]++ } :: else -> refused = false fi
       :: else ->
          begin(D, DELETE, m);
          d_step { committed[m] = false; elems[m]-- };
          add(D, m, -1)
       fi;
       kind[D] = NONE
    :: else -> break
    od
  } unless { dead }
}

proctype reaper(byte me) {
  byte c, t, q, a, n; bool took, refused;
  {
    if
    :: me == S && kind[R] == UNDO ->
       decide(R);
       if :: took -> kind[D] = NONE :: else -> skip fi;
       atomic { kind[R] = NONE; took = false }
    :: else -> skip
    fi;
    if
    :: kind[D] != NONE ->
       decide(D);
       if
       :: !committed[map[D]] && took == (kind[D] == INSERT) ->
#ifndef BUG_NO_UNDO_RECORD
          if :: me == R -> begin(R, UNDO, map[D]) :: else -> skip fi;
#endif
          add(me, map[D], -1)
       :: else -> skip
       fi;
       kind[D] = NONE;
       if :: me == R -> kind[R] = NONE :: else -> skip fi
    :: else -> skip
    fi
  } unless { me == R && reaperDead }
}

proctype task(byte me; byte rounds) {
  byte c, t, q, a; bool refused;
  add(me, 0, 1);
  if
  :: !refused ->
     elems[0]++;
     if
     :: rounds == 2 -> elems[0]--; add(me, 0, -1)
     :: else -> skip
     fi
  :: else -> skip
  fi
}

init {
#ifdef REAPER_DIES
  atomic { run mortalTask(); run task(4, 2) };
  atomic { dead = true; run reaper(R) };
  if :: atomic { reaperDead = true; run reaper(S) } :: true fi;
#else
  atomic { run mortalTask(); run task(4, 2); run task(5, 1) };
  if :: atomic { dead = true; run reaper(R) } :: true fi;
#endif
  _nr_pr == 1;
  assert(count[0] == elems[0] && count[1] == elems[1])
}
