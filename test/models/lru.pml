/*
 * Making room in a full LRU hash (kernel/maps/_htab_ops.ts, makeRoom): tasks that insert into a map that is full all the time, each
 * of which deletes another elem first.
 *
 * Task D may die anywhere; R reaps it. Tasks 4 and 5 live. There are two buckets, each with a lock, and room for MAX elems in all.
 * Which elem goes is left open: any that can be seen, in either bucket.
 *
 * Abstracted: cells, tags and seq (line.pml, overflow.pml); that the reaper knows how far the count was (count.pml); the heats and
 * the hand, which are hints. A lock is noted before it is taken: so R knows the buckets that D holds (lock.pml).
 *
 * Invariants: the count is never above MAX, never below the number of elems, and equal to it when all is over. No update fails for
 * lack of room, and nobody waits for ever.
 *
 * The rules: one bucket's lock at a time. What was seen without the lock is looked at again behind it. Room that was made is
 * nobody's: who made it counts like all others, and makes some more if another was faster. Who sees no elem in a full map waits for
 * those who hold locks: they have counted elems that are not there yet.
 */
#define D 1
#define R 2
#define MAX 2
#define NONE 0
#define COUNTED 1               /* the elem is not there yet */
#define GONE 2                  /* the elem is not there any more, but counted */

byte lk[2];                     /* the buckets' locks: whose they are */
byte n[2];                      /* elems that can be seen in them */
byte count;
byte at;                        /* where D is, under the lock that it holds */
bool dead;

#define isSound (count <= MAX && count >= n[0] + n[1])

inline acquire(me, b) {
  atomic { lk[b] == 0 -> lk[b] = me }
}

inline evict(me, v) {
#ifdef BUG_COUNT_FIRST
  atomic { count--; if :: me == D -> at = COUNTED :: else -> skip fi; assert(isSound) };
  atomic { n[v]--; if :: me == D -> at = NONE :: else -> skip fi }
#else
  atomic { n[v]--; if :: me == D -> at = GONE :: else -> skip fi };
  atomic { count--; if :: me == D -> at = NONE :: else -> skip fi; assert(isSound) }
#endif
}

/* The caller holds no lock. */
inline makeRoom(me) {
  do
  :: count < MAX -> break
  :: else ->
     if
     :: n[0] > 0 -> v = 0
     :: n[1] > 0 -> v = 1
     :: n[0] == 0 && n[1] == 0 -> v = 2
     fi;
     if
     :: v == 2 ->
#ifdef BUG_IMPATIENT
        assert(count < MAX)
#else
        if
        :: lk[0] != 0 -> acquire(me, 0); lk[0] = 0
        :: lk[1] != 0 -> acquire(me, 1); lk[1] = 0
        :: lk[0] == 0 && lk[1] == 0 -> skip
        fi
#endif
     :: else ->
        acquire(me, v);
        if
#ifdef BUG_NO_SECOND_LOOK
        :: true -> evict(me, v)
#else
        :: n[v] > 0 && count >= MAX -> evict(me, v)
#endif
        :: else -> skip
        fi;
        lk[v] = 0
     fi
  od;
  v = 0
}

/* An update of a key that is not there, in either bucket. */
inline update(me) {
  if :: b = 0 :: b = 1 fi;
  hasRoom = false;
  do
  :: acquire(me, b);
     atomic {
       if
       :: count < MAX || hasRoom ->
          count++; assert(isSound); isIn = true;
          if :: me == D -> at = COUNTED :: else -> skip fi
       :: else -> skip
       fi
     };
     if
     :: isIn -> atomic { n[b]++; assert(isSound); if :: me == D -> at = NONE :: else -> skip fi }
     :: else -> skip
     fi;
#ifdef BUG_HOLD_BOTH
     if :: !isIn -> makeRoom(me) :: else -> skip fi;
     lk[b] = 0;
     if :: isIn -> break :: else -> skip fi
#else
     lk[b] = 0;
     if :: isIn -> break :: else -> makeRoom(me) fi
#endif
#ifdef BUG_ROOM_IS_MINE
     ; hasRoom = true
#endif
  od;
  atomic { isIn = false; b = 0; hasRoom = false }
}

proctype mortalTask() {
  byte b, v; bool isIn, hasRoom;
  {
    update(D);
    update(D)
  } unless { dead }
}

proctype task(byte me; byte rounds) {
  byte b, v; bool isIn, hasRoom;
  do
  :: rounds > 0 -> rounds--; update(me)
  :: else -> break
  od
}

proctype reaper() {
  byte b;
  do
  :: b < 2 ->
     if
     :: lk[b] == D ->
#ifndef BUG_NOT_SETTLED
        atomic {
          if :: at != NONE -> count--; assert(isSound) :: else -> skip fi;
          at = NONE
        };
#endif
        lk[b] = 0
     :: else -> skip
     fi;
     b++
  :: else -> break
  od
}

init {
  atomic { run mortalTask(); run task(4, 2); run task(5, 1) };
#ifndef NO_DEATH
  if :: atomic { dead = true; run reaper() } :: true fi;
#endif
  _nr_pr == 1;
  assert(count == n[0] + n[1] && count <= MAX)
}
