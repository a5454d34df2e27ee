/*
 * A line of the hash (kernel/maps): lookup without a lock while its cells are updated, deleted and reused.
 *
 * Two cells. Key X is in cell 0 all the time; cell 1 holds Y or Z or nothing. All three keys have the same tag, so a
 * reader has to compare keys. One writer does one operation, of any kind, and may die between any two of its steps,
 * as may the first who reaps it; another lives and does one operation. With NO_DEATH both do two. One reader looks up
 * X or Y once. A value is two words, both the number of its version; with ONE_WORD it is one word, which is updated
 * by one store and leaves seq alone.
 *
 * Abstracted: sleeping on the lock (lock.pml); the walk to overflow lines (overflow.pml); eight tags are one load.
 *
 * Memory order: the store of a tag and those of seq are atomic. Between the odd seq and the words of the copy stands
 * a fence, for a store after an atomic store may overtake it. The reader's loads are atomic ones, so they stay
 * between its looks at seq. What happens without the fence is BUG_COPY_OVERTAKES.
 *
 * Invariant: what a lookup returns was so at one moment between its begin and its end: one version whole, of that
 * key, or that the key was not there. So it never returns a torn value, nor another key's, nor misses a key that is
 * always there.
 */
#define X 1
#define Y 2
#define Z 3
#define MORTAL 1

byte owner, seq;
bool tag[2];
byte key[2], lo[2], hi[2];
bool armed;                    /* the mortal writer's redo record: copy `shadow` to the cell `to` */
byte to, shadow;
bool dead, reaperDead;

/* Only for the checks. `now` is the version of the key that the reader wants, 0 while it is not there; `seen` the set of
 * those it had since the reader began. */
byte version = 2, wanted, now, seen;

inline commit(k, v) {
  if :: k == wanted -> now = v; seen = seen | (1 << v) :: else -> skip fi
}

inline copyTo(c, v) { lo[c] = v; hi[c] = v }

inline update(me, c, v) {
#ifdef ONE_WORD
  d_step { lo[c] = v; commit(key[c], v) }
#else
  if :: me == MORTAL -> d_step { shadow = v; to = c }; armed = true :: else -> skip fi;
#ifdef BUG_COPY_OVERTAKES
  lo[c] = v;
  seq = seq + 1;
  hi[c] = v;
  d_step { seq = seq + 1; commit(key[c], v) };
#else
#ifndef BUG_COPY_WHILE_EVEN
  seq = seq | 1;
#endif
  copyTo(c, v);
  d_step { seq = (seq | 1) + 1; commit(key[c], v) };
#endif
  if :: me == MORTAL -> armed = false :: else -> skip fi
#endif
}

inline insert(c, k, v) {
#ifdef BUG_TAG_FIRST
  d_step { tag[c] = true; commit(k, v) };
  key[c] = k;
  copyTo(c, v)
#else
  d_step { key[c] = k; lo[c] = v };
  hi[c] = v;
  d_step { tag[c] = true; commit(k, v) }
#endif
}

inline delete(c) {
#ifdef BUG_BUMP_FIRST
  seq = seq + 2;
#endif
  d_step { tag[c] = false; commit(key[c], 0) };
#if !defined(BUG_BUMP_FIRST) && !defined(BUG_NO_BUMP)
  seq = seq + 2
#endif
}

proctype writer(byte me) {
  byte v;
#ifdef NO_DEATH
  byte rounds = 2;
#else
  byte rounds = 1;
#endif
  {
    do
    :: rounds > 0 ->
       atomic { owner == 0 -> owner = me; rounds--; v = version; version++ };
       if
       :: update(me, 0, v)
       :: tag[1] -> update(me, 1, v)
       :: tag[1] -> delete(1)
       :: !tag[1] -> insert(1, Y, v)
       :: !tag[1] -> insert(1, Z, v)
       fi;
       atomic { owner = 0; v = 0 }
    :: rounds == 0 -> break
    od
  } unless { me == MORTAL && dead }
}

/* Makes seq odd first, even if it was the dead one's redo record that had been armed but nothing more. */
proctype reaper(bool mortal) {
  {
    if
    :: owner == MORTAL ->
       if
       :: armed ->
#ifndef BUG_REPAIR_WHILE_EVEN
          seq = seq | 1;
#endif
          copyTo(to, shadow);
          d_step { seq = (seq | 1) + 1; commit(key[to], shadow) };
          armed = false
       :: else ->
#ifndef BUG_REPAIR_NO_BUMP
          seq = seq + 2
#endif
       fi;
       owner = 0
    :: else -> skip
    fi
  } unless { mortal && reaperDead }
}

proctype reader() {
  byte s, l, h; bool t1, hit;
  seen = 1 << now;
  do
  :: atomic { seq % 2 == 0 -> s = seq };
     d_step { assert(tag[0]); t1 = tag[1] };
     if
     :: atomic { key[0] == wanted -> hit = true; l = lo[0] }; h = hi[0]
     :: else -> skip
     fi;
     if
     :: !hit && t1 ->
        if
        :: key[1] == wanted -> l = lo[1]; h = hi[1]
        :: else -> skip
        fi
     :: else -> skip
     fi;
#ifdef BUG_NO_SECOND_LOOK
     break
#else
     atomic { if :: seq == s -> break :: else -> l = 0; h = 0; t1 = false; s = 0; hit = false fi }
#endif
  od;
#ifdef ONE_WORD
  h = l;
#endif
  atomic { assert(l == h); assert(seen & (1 << l)); seen = 0 }
}

init {
  atomic {
    tag[0] = true; key[0] = X; lo[0] = 1; hi[0] = 1;
    if :: tag[1] = true; key[1] = Y; lo[1] = 1; hi[1] = 1 :: true fi;
    if :: wanted = X; now = 1 :: wanted = Y; now = tag[1] fi;
    run writer(1); run writer(2); run reader()
  };
#ifndef NO_DEATH
  if
  :: atomic { dead = true; run reaper(true) };
     if :: atomic { reaperDead = true; run reaper(false) } :: true fi
  :: true
  fi;
#endif
  _nr_pr == 1;
  assert(owner == 0 && !armed && seq % 2 == 0);
#ifndef ONE_WORD
  assert(lo[0] == hi[0]);
#endif
  assert(wanted != X || lo[0] == now)
}
