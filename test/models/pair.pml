/*
 * A pair of the hash (kernel/maps/_htab_ops.ts): a key of 4 bytes and its value in one word, which updates replace without the line's
 * lock, while the elem is deleted, taken (deleted, and its value returned) and its cell used again.
 *
 * One cell; keys K and L have the same tag. Each of three threads does one operation, of any kind, on either key; the first may die
 * between any two of its steps, and is reaped. An insert that finds no room does nothing.
 *
 * Abstracted: other cells; the count (count.pml); sleeping on the lock (lock.pml).
 *
 * Memory order: the stores of tag, seq and the pair are seen in their order, and so are an update's loads.
 *
 * Invariant: for each key there is an order of all operations in which each returned what it would have one by one, that keeps the
 * order of those that did not overlap, and leaves what is there at the end. The dead one's is in it or not. (Searched in C, at
 * the end of each run.)
 */
#define K 1
#define L 2
#define ELSEWHERE 3            /* a key that leads to another line */
#define MORTAL 0

#define OPS 3

#define UPDATE 1
#define TAKE 2
#define DELETE 3
#define FULL 99                /* of an update: not made */

/* Found with BUMP_LATE: seq that rises before the pair changes keeps others from taking it for theirs, too. */
#ifdef BUG_KEY_OF_THIS_LINE
#define GONE(k) (3 - k)
#else
#define GONE(k) ELSEWHERE
#endif

byte owner, seq, key, value;   /* key and value are one word */
bool tag;
bool dead;

/* Only for the check. */
byte kind[OPS], wanted[OPS], result[OPS], after[OPS], ended;
byte first[3], last[3];
bool isFine;

inline lock(i) { atomic { owner == 0 -> owner = i + 1 } }

/* What number i writes: no two write the same, but for the value that was there at first. */
#define NEW(i) (i + 1)

inline update(i, k) {
  s = seq;
  t = tag;
  atomic { old = key; v = value };
#ifdef BUG_NO_SECOND_LOOK
  isThere = t && old == k;
#else
  isThere = t && old == k && seq == s;
#endif
  if
  :: isThere -> atomic { if :: key == k && value == v -> value = NEW(i); isDone = true :: else -> skip fi }
  :: else -> skip
  fi;
  if
  :: isDone -> skip
  :: else ->
     lock(i);
     if
     :: tag && key == k -> value = NEW(i)
     :: tag && key != k -> result[i] = FULL
     :: !tag -> key = k; value = NEW(i); tag = true
     fi
  fi
}

inline take(i, k) {
  lock(i);
  if
  :: tag && key == k ->
#if defined(BUG_READ_FIRST)
     result[i] = value; tag = false; seq = seq + 2
#elif defined(BUG_NOT_MADE_ANOTHERS)
     tag = false; seq = seq + 2; result[i] = value
#elif defined(BUMP_LATE)
     tag = false;
     atomic { result[i] = value; key = GONE(k); value = 0 };
     seq = seq + 2
#else
     tag = false;
     seq = seq + 2;
     atomic { result[i] = value; key = GONE(k); value = 0 }
#endif
  :: else -> skip
  fi
}

inline delete(i, k) {
  lock(i);
  if
  :: tag && key == k -> tag = false; atomic { seq = seq + 2; result[i] = 1 }
  :: else -> skip
  fi
}

proctype op(byte i) {
  byte s, old, v; bool t, isThere, isDone;
  {
    atomic {
      if :: kind[i] = UPDATE :: kind[i] = TAKE :: kind[i] = DELETE fi;
      if :: wanted[i] = K :: wanted[i] = L fi;
      after[i] = ended
    };
    if
    :: kind[i] == UPDATE -> update(i, wanted[i])
    :: kind[i] == TAKE -> take(i, wanted[i])
    :: kind[i] == DELETE -> delete(i, wanted[i])
    fi;
    atomic {
      if :: owner == i + 1 -> owner = 0 :: else -> skip fi;
      ended = ended | (1 << i); s = 0; old = 0; v = 0; t = false; isThere = false; isDone = false
    }
  } unless { i == MORTAL && dead }
}

c_code {
  /* Whether the operations on a key that are not in `made` can follow on each other, from `value` on. */
  static int follows(int k, int made, int value) {
    int i, rest = 0;
    for (i = 0; i < OPS; i++) {
      int isOpen = !(now.ended & (1 << i)), after = now.after[i], isHit = value != 0, result = now.result[i], next = 0;
      if (now.wanted[i] != k || now.kind[i] == 0 || (made & (1 << i))) continue;
      if (!isOpen) rest = 1;
      /* Those that had ended before it began come first. */
      int j, isEarly = 0;
      for (j = 0; j < OPS; j++) if ((after & (1 << j)) && now.wanted[j] == k && !(made & (1 << j))) isEarly = 1;
      if (isEarly) continue;
      if (now.kind[i] == UPDATE) next = result == FULL ? value : i + 1;
      else if (!isOpen && now.kind[i] == TAKE && result != value) continue;
      else if (!isOpen && now.kind[i] == DELETE && result != isHit) continue;
      if (follows(k, made | (1 << i), next)) return 1;
    }
    return !rest && value == now.last[k];
  }
}

init {
  byte i;
  atomic {
    if
    :: tag = true; key = K; value = 9; first[K] = 9
    :: key = K; value = 9                       /* of an elem that has gone */
    :: skip
    fi;
    for (i : 0 .. OPS - 1) { run op(i) };
    i = 0
  };
  if
  :: atomic { dead = true };
     if :: owner == MORTAL + 1 -> seq = seq + 2; owner = 0 :: else -> skip fi
  :: true
  fi;
  _nr_pr == 1;
  assert(owner == 0);
  atomic {
    if :: tag -> last[key] = value :: else -> skip fi;
    c_code { now.isFine = follows(1, 0, now.first[1]) && follows(2, 0, now.first[2]); };
    assert(isFine)
  }
}
