/* naive.pml: designs of close that look right and are wrong, which show why a gate is needed.
 *
 * NR readers and NC closers share one descriptor; an Opener opens other files and gets the lowest free
 * number. Pick one design with -D:
 *   NAIVE       check a `closed` flag, then use the number; close releases it at once
 *   NAIVE_LOCK  the same, with a lock around the check and the fetch of the number (not around the system call):
 *               "take the lock in close()" does not help a thread that has already fetched the number
 *   BLOCKED     the thread blocks inside recv(2), and close(2) is called without more. With -DHANG no open(2)
 *               reuses the number: then the thread hangs, because close(2) does not wake it
 *   SHUT        the thread blocks inside recv(2); references are counted, the closer wakes the thread with
 *               shutdown(2), and the last thread to leave releases. This is right where shutdown reaches the socket
 *
 * The promises are those of gate.pml: I1 no cross-talk, I2 closed once, I3 quiescent when close returns, and no
 * state in which a process waits forever.
 */
#ifndef NR
#define NR 1
#endif
#ifndef NC
#define NC 1
#endif
#if defined(BLOCKED) || defined(SHUT)
#define BLOCKING
#endif

#define A 1
#define STRANGER 2

byte table = A;
bool closed, wake, silent, shut;
byte references, using, closes;
bool parked[NR], woken[NR];

#ifdef HANG
inline systemCall() { skip }
#else
inline systemCall() { assert(table == A) }                                 /* I1 */
#endif
inline release() { d_step { assert(table == A); closes++; assert(closes == 1); table = 0 } } /* I1, I2 */

inline enter() {
#if defined(NAIVE_LOCK) || defined(SHUT)
  atomic { if :: closed -> ok = false :: else -> ok = true; references++; using++ fi }
#else
  if :: closed -> ok = false :: else -> ok = true; using++ fi
#endif
}

inline leave() {
#ifdef SHUT
  atomic { references--; using--; last = (closed && references == 0) };
  if :: last -> release() :: else fi
#else
  using--
#endif
}

proctype Reader(byte id) {
  bool ok, last, over;
  enter();
  if
  :: !ok
  :: ok ->
     do
     :: over -> break
#ifdef BLOCKING
     :: !over ->
        atomic { systemCall() };               /* recv(2) holds the file from here, not the number */
        if
        :: !silent                             /* data */
        :: shut                                /* EOF, caused by shutdown(2) */
        fi;
        over = true
#else
     :: !over && !silent -> systemCall(); over = true
     :: !over ->
        atomic { systemCall() };               /* EAGAIN */
        atomic { if :: wake -> over = true :: else -> parked[id] = true fi };
        if :: over :: woken[id] -> woken[id] = false; over = true :: !over && !silent fi
#endif
     od;
     leave()
  fi
}

proctype Closer() {
  bool first, last; byte i;
#ifdef NAIVE
  if :: closed :: !closed -> first = true; closed = true fi;
#else
  atomic { if :: closed :: !closed -> first = true; closed = true; references++ fi };
#endif
  if
  :: !first
  :: first ->
#ifdef SHUT
     atomic { systemCall(); shut = true };
     atomic { references--; last = (references == 0) };
     if :: last -> release() :: else fi;
     table != A;                               /* waits until the last reader to leave has released */
     assert(using == 0)                                                    /* I3 */
#else
     d_step {
       wake = true; i = 0;
       do :: i < NR -> if :: parked[i] -> woken[i] = true :: else fi; i++ :: else -> break od
     };
     release()
#endif
  fi
}

proctype Opener() {
#ifndef HANG
  if :: atomic { table == 0 -> table = STRANGER } :: skip fi
#else
  skip
#endif
}

init {
  byte i;
  atomic {
    if :: silent = false :: silent = true fi;
    do :: i < NR -> run Reader(i); i++ :: else -> break od;
    i = 0;
    do :: i < NC -> run Closer(); i++ :: else -> break od;
    run Opener()
  }
}
