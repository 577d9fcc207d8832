/* gate.pml: the operations on a descriptor, its close, and its release.
 *
 * This is the model of Sources/Fin/Lifetime/Gate.swift. Every step of the code that another thread can
 * see has a name here; the code names the step that it implements. NR readers, NW writers, NP operations that
 * hold a plain reference and NC closers share one descriptor A, whose number is the lowest of the process's
 * descriptor table. NL of the closers close from inside: their thread has lent the number to its caller
 * (withDescriptor), and that caller closes. An Opener opens another file, and open(2) assigns the lowest free
 * number: once A's number is released, it may name another file, the stranger, at the next step.
 *
 *  step             how it is atomic    what it does
 *  ---------------  ------------------  -----------------------------------------------------------------
 *  ENTER_READ       one CAS             closing: refused, .closed; reader bit set: refused, .busy;
 *                                       else reader bit on, references + 1
 *  ENTER_WRITE      one CAS             closing: refused; writer bit clear: writer bit on, references + 1;
 *                                       else on to QUEUE
 *  PASS             one CAS             closing: refused; else references + 1 (accept, options, datagrams)
 *  QUEUE            mutex, CAS inside   closing: refused; writer bit clear: take it as above; else flag
 *                                       `queued` on, and append the operation's node to the queue
 *  QUEUE_WAIT       asleep on the node  until woken (granted or refused by then), or the deadline
 *  WRITER_DEADLINE  mutex, word inside  node granted, even at the last moment: inside; refused: .closed;
 *                                       else remove the node, flag off if it was the last: .timedOut
 *  TRY              the system call     only by an operation that is inside
 *  PARK             mutex, load inside  closing: do not park, .closed; else add to `parked`
 *  POLL             poll(2)             until ready, woken by the closer, or the deadline
 *  UNPARK           mutex               remove from `parked`, whatever ended the wait
 *  LEAVE            one CAS             writer and `queued`: on to HANDOFF; else the operation's bit off,
 *                                       references - 1; the closer leaves with the same step
 *  HANDOFF          mutex, word inside  queue not empty: the first node becomes the owner, bit and reference
 *                                       stay as they are, flag off if it was the last; empty: LEAVE again
 *  WAKE_GRANTED     after the section   wake the new owner, which may have left by then
 *  WAKE_CLOSER      mutex, wakes after  after a LEAVE of a closing gate that left references: wake the closer if
 *                                       those are its own and the loans of its thread
 *  BEGIN_CLOSE      mutex, CAS inside   closing already: on to SECOND_CLOSE; else closing on, `queued` off,
 *                                       references + 1 (the closer's own)
 *  REFUSE_QUEUE     same section        refuse every node of the queue, and empty the queue
 *  WAKE_PARKED      same section        wake every operation in `parked` whose waker is lent, and empty `parked`
 *  WAKE_OTHERS      after the section   wake the refused writers, and the operations that were in `parked` with a
 *                                       waker of their own
 *  QUIESCENT        mutex, load inside  one reference left, and one for each loan of the closer's thread: go
 *                                       on; else sleep until WAKE_CLOSER
 *  POLICY           system calls        shutdown, drain, queries to the kernel: the closer is alone
 *  DESTROY          close(2)            once, by the process whose LEAVE left no reference
 *  RELEASED         mutex, then wakes   by the process whose LEAVE left no reference: the report is set; then
 *                                       each later closer is woken
 *  SECOND_CLOSE     mutex               released: return the report; else sleep until RELEASED; from inside a
 *                                       loan there is no wait, because the first closer waits for the loan to end
 *
 * The promises (assertions, and no state in which a process waits forever):
 *  I1  no cross-talk      a system call made for A reaches A, never a stranger
 *  I2  closed once        close(2) is called once for A, and only while the number is A's
 *  I3  quiescent          when any close returns, no operation is inside and A is closed
 *  I4  no late start      an operation that begins after a close has returned is refused
 *  I5  one at a time      at most one reader and one writer use A
 *  I6  flag matches queue outside the mutex, `queued` is set exactly when the queue is not empty
 *  I7  no overtaking      no writer takes the writer bit while another waits in the queue
 *  I8  closer alone       during POLICY no other process makes a system call on A
 *  I9  nothing left       a reference is given back once; when all processes have ended: no bit, no reference,
 *                         no flag, no node, no parked operation
 *  I10 live wakers only   the closer wakes a waiter only while the waker is lent to that waiter
 *  I11 one report         every closer returns after the one report was made
 * No process waits forever: the model has no other end states (Spin: "invalid end state").
 *
 * A spurious wake, one that has nothing to do with closing, is modelled as readiness that turns out to be none.
 * Readiness never has to come: whether the peer is silent or talks is chosen once. Deadlines fire at most TIMEOUTS
 * times, so that no wait is excused by a deadline that might still fire.
 *
 * TASKS has one bit for each operation that is a task; tasks have a waker of their own. With -DINLINE an executor runs
 * a task before the wake returns: the waking process continues when the task has passed its next critical section.
 *
 * A critical section that accesses the word once is one atomic step for all other processes. With -DFINE it is still
 * split into lock, word, struct and unlock, and other processes run in between.
 */

#ifndef NR
#define NR 1
#endif
#ifndef NW
#define NW 2
#endif
#ifndef NP
#define NP 0
#endif
#ifndef NC
#define NC 1
#endif
#ifndef NL
#define NL 0
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 1
#endif
#define NOPS (NR + NW + NP)
#ifndef TASKS
#define TASKS 0
#endif
#define owns(id) (TASKS & (1 << (id)))

#define A 1                      /* the file that the number names at the start */
#define STRANGER 2

mtype = { reading, writing, plain };
mtype = { inside, refusedClosed, refusedBusy, slow, timedOut };
mtype = { idle, waiting, granted, refused };

/* the word */
bool closing, readerBit, writerBit, queued;
byte references;

/* what the mutex protects */
bool mutex;
byte queue[NOPS];                /* nodes of writers, first come, first served */
byte queueCount;
mtype node[NOPS] = idle;
bool parked[NOPS];
bool closerSleeps, closerWoken;
byte closerLoans;
bool reported;
bool secondSleeps[NC + 1], secondWoken[NC + 1];

/* the kernel */
byte table = A;                  /* which file the number names, 0 = free */
bool silent;                     /* the peer never sends anything */
byte timeouts;                   /* deadlines that may still fire */
bool woken[NOPS];                /* the waker of a parked operation, an event descriptor, is signalled */
bool wakeOpen[NOPS];             /* the waker is lent to the operation, or a task waits with its own */
bool turnWoken[NOPS];            /* a queued writer is woken */

/* ghost variables: only for the assertions */
byte usingRead, usingWrite, usingAny;
byte closes;
bool closeReturned, closerAlone;

#ifdef FINE
#define CRITICAL {
#else
#define CRITICAL atomic {
#endif
#define END }
#ifndef M_ENTER_AFTER_CLOSE
#define READABLE !closing
#else
#define READABLE true
#endif
#ifndef M_QUEUE_AFTER_CLOSE
#define OPEN !closing
#else
#define OPEN true
#endif

inline lock()   { atomic { !mutex -> mutex = true } }
inline unlock() { d_step { assert(queued == (queueCount > 0)) /* I6 */; mutex = false } }

inline systemCall(kind) {
  assert(table == A);                                                   /* I1 */
  assert(!closerAlone);                                                    /* I8 */
  if :: kind == reading -> assert(usingRead == 1) :: kind == writing -> assert(usingWrite == 1) :: else fi /* I5 */
}

inline use(kind, by) {
  usingAny = usingAny + by;
  if
  :: kind == reading -> usingRead = usingRead + by
  :: kind == writing -> usingWrite = usingWrite + by
  :: else
  fi
}

inline wake(who) {
  assert(wakeOpen[who]);                                                   /* I10 */
  woken[who] = true
}

/* a waker that only ever belongs to one waiter */
inline wakeOwn(who) {
  woken[who] = true;
#ifdef INLINE
  !wakeOpen[who]
#endif
}

inline wakeTurn(who) {
  turnWoken[who] = true;
#ifdef INLINE
  node[who] != granted && node[who] != refused
#endif
}

inline destroy() {
  d_step { assert(table == A); closes++; assert(closes == 1); table = 0 } /* DESTROY: I1, I2 */
}

/* removes the node at `at` from the queue */
inline remove(at) {
  queueCount--;
  do :: at < queueCount -> queue[at] = queue[at + 1]; at++ :: else -> queue[at] = 0; break od;
  at = 0
}

/* ---------------------------------------------------------------------------------------------------- */

inline enter() {
  if
  :: kind == reading ->
     atomic {                                                              /* ENTER_READ */
       if
#ifndef M_ENTER_AFTER_CLOSE
       :: closing -> outcome = refusedClosed
#endif
#ifndef M_SECOND_READER
       :: READABLE && readerBit -> outcome = refusedBusy
       :: READABLE && !readerBit ->
#else
       :: READABLE ->
#endif
          readerBit = true; references++; outcome = inside
       fi
     }
  :: kind == plain ->
#ifdef M_ENTER_SPLIT
     if :: closing -> outcome = refusedClosed :: else -> outcome = inside fi;
     if :: outcome == inside -> references++ :: else fi
#else
     atomic {                                                              /* PASS */
       if
       :: closing -> outcome = refusedClosed
       :: else -> references++; outcome = inside
       fi
     }
#endif
  :: kind == writing ->
     atomic {                                                              /* ENTER_WRITE */
       if
       :: closing -> outcome = refusedClosed
       :: !closing && !writerBit ->
          assert(queueCount == 0);                                         /* I7 */
          writerBit = true; references++; outcome = inside
       :: !closing && writerBit -> outcome = slow
       fi
     };
     if
     :: outcome == slow -> enqueue()
     :: else
     fi
  fi
}

inline enqueue() {
  CRITICAL                                                                 /* QUEUE */
    lock();
    atomic {
      if
#ifndef M_QUEUE_AFTER_CLOSE
      :: closing -> outcome = refusedClosed
#endif
#ifndef M_QUEUE_BLIND
      :: OPEN && !writerBit ->
         assert(queueCount == 0);                                          /* I7 */
         writerBit = true; references++; outcome = inside
      :: OPEN && writerBit -> queued = true
#else
      :: OPEN -> queued = true
#endif
      fi
    };
    d_step {
      if
      :: outcome == slow -> queue[queueCount] = id; queueCount++; node[id] = waiting
      :: else
      fi
    };
    unlock()
  END;
  if
  :: outcome == slow ->
     if                                                                    /* QUEUE_WAIT */
     :: turnWoken[id]
     :: atomic { timeouts > 0 -> timeouts--; over = true }
     fi;
     CRITICAL                                                              /* WRITER_DEADLINE */
       lock();
       d_step {
         if
#ifdef M_DEADLINE_BLIND
         :: node[id] == granted && over -> outcome = timedOut
         :: node[id] == granted && !over -> outcome = inside
#else
         :: node[id] == granted -> outcome = inside
#endif
         :: node[id] == refused -> outcome = refusedClosed
         :: node[id] == waiting ->
            outcome = timedOut;
            at = 0;
            do :: queue[at] != id -> at++ :: else -> break od;
            remove(at)
         fi
       };
       atomic {
         if
#ifndef M_DEADLINE_KEEPS_FLAG
         :: outcome == timedOut && queueCount == 0 -> queued = false
#endif
         :: else
         fi
       };
       unlock()
     END;
#ifdef V_GRANTED
     assert(outcome != inside || over);
#endif
#ifdef V_QUEUE_REFUSED
     assert(outcome != refusedClosed);
#endif
#ifdef V_DEADLINE_GRANTED
     assert(outcome != inside || !over);
#endif
#ifdef V_DEADLINE
     assert(outcome != timedOut);
#endif
     /* granted at the last moment: continues, or leaves at once */
     if :: outcome == inside && over -> hasty = true :: skip fi;
     atomic { node[id] = idle; over = false }
  :: else
  fi
}

inline wakeCloser() {
  CRITICAL                                                                 /* WAKE_CLOSER */
    lock();
    d_step {
      if
#ifdef M_WOKEN_AT_ONE
      :: closerSleeps && references == 1 -> closerSleeps = false; wakes = true
#else
      :: closerSleeps && references == 1 + closerLoans -> closerSleeps = false; wakes = true
#endif
      :: else
      fi
    };
    unlock()
  END;
  if :: wakes -> atomic { closerWoken = true; wakes = false } :: else fi
}

inline leave() {
  atomic { use(kind, -1) };
  do
  :: atomic {                                                              /* LEAVE */
       after = 255;
       if
#ifndef M_LEAVE_IGNORES_QUEUE
       :: kind == writing && queued
#endif
       :: else ->
          if
#ifndef M_KEEPS_BIT
          :: kind == reading -> readerBit = false
#endif
          :: kind == writing -> writerBit = false
          :: else
          fi;
#ifndef M_KEEPS_REFERENCE
          assert(references > 0);
          references--;
#endif
          if :: closing -> after = references :: else -> after = 254 fi
       fi
     };
     if
     :: after != 255 -> break
     :: else -> handOff(); if :: after == 254 -> break :: else fi
     fi
  od;
  if
#ifndef M_CLOSER_NOT_WOKEN
  :: after >= 1 && after < 254 -> wakeCloser()
#endif
  :: after == 0 -> destroy()
  :: else
  fi
}

inline handOff() {
  CRITICAL                                                                 /* HANDOFF */
    lock();
    d_step {
      if
      :: queueCount > 0 -> other = queue[0]; at = 0; remove(at); after = 254
      :: else -> after = 255
      fi
    };
    atomic {
      if
#ifndef M_HANDOFF_KEEPS_FLAG
      :: after == 254 && queueCount == 0 -> queued = false
#endif
      :: else
      fi
#ifdef M_HANDOFF_FREES_BIT
      ; if :: after == 254 -> writerBit = false :: else fi
#endif
#ifdef M_HANDOFF_DROPS_REFERENCE
      ; if :: after == 254 -> references-- :: else fi
#endif
    };
    if :: after == 254 -> node[other] = granted :: else fi;
#ifdef M_WAKE_UNDER_MUTEX
    if :: after == 254 -> wakeTurn(other) :: else fi;
#endif
    unlock()
  END;
#if !defined(M_HANDOFF_WAKES_NOBODY) && !defined(M_WAKE_UNDER_MUTEX)
  if :: after == 254 -> wakeTurn(other) :: else fi;                        /* WAKE_GRANTED */
#endif
  other = 0;
#ifdef V_HANDOFF_EMPTY
  assert(after != 255)
#endif
}

inline unpark() {
#ifndef M_STAYS_PARKED
  CRITICAL                                                                 /* UNPARK */
    lock();
    parked[id] = false;
    unlock()
  END
#else
  skip
#endif
}

proctype Operation(byte id; mtype kind) {
  mtype outcome;
  byte at, other, after;
  bool hasty, over, wakes;
  bool late;

  late = closeReturned;
  enter();
  if
  :: outcome == inside ->
     assert(!late);                                                        /* I4 */
     atomic { use(kind, 1) };
     do
     :: over || hasty -> break
     :: !over && !hasty && !silent -> atomic { systemCall(kind); over = true }  /* TRY: done */
     :: !over && !hasty ->
        atomic { systemCall(kind) };                                       /* TRY: EAGAIN */
#ifdef M_PARK_SPLIT
        if :: closing -> over = true :: else fi;                           /* checks, and parks later */
#endif
        CRITICAL                                                           /* PARK */
          lock();
#ifndef M_PARK_SPLIT
          atomic { if :: closing -> over = true :: else fi };
#endif
          d_step { if :: !over -> parked[id] = true; woken[id] = false; wakeOpen[id] = true :: else fi };
          unlock()
        END;
#ifdef V_PARK_REFUSED
        assert(!over);
#endif
        if
        :: over
        :: !over ->
           if                                                              /* POLL */
           :: woken[id] -> over = true
#ifdef V_WOKEN
              ; assert(false)
#endif
           :: !silent -> skip
#ifdef V_READY_WHILE_CLOSING
              ; assert(!closing)
#endif
           :: atomic { timeouts > 0 -> timeouts--; over = true }
           fi;
           unpark();
           atomic { wakeOpen[id] = false; woken[id] = false }
        fi
     od;
     leave()
  :: outcome == refusedClosed ->
     skip;
#ifdef V_CLOSED
     assert(false)
#endif
  :: outcome == refusedBusy ->
     skip;
#ifdef V_BUSY
     assert(false)
#endif
  :: outcome == timedOut -> skip
  fi;
  d_step { outcome = 0; after = 0; hasty = false; over = false; late = false }   /* reset: fewer distinct states */
}

#ifdef M_OTHERS_NOT_WOKEN
inline wakeOthers() { skip }
#else
inline wakeOthers() {
  at = 0;
  do
  :: at < NOPS ->
     if
     :: taken[at] && owns(at) -> taken[at] = false; wakeOwn(at)
     :: taken[at] && !owns(at) -> taken[at] = false; atomic { wake(at) }
     :: !taken[at] && turned[at] -> turned[at] = false; wakeTurn(at)
     :: else -> at++
     fi
  :: else -> at = 0; break
  od
}
#endif

/* RELEASED: the last process to leave has released the descriptor */
inline tellReleased() {
  CRITICAL                                                                 /* RELEASED */
    lock();
    reported = true;
    d_step {
      at = 0;
      do :: at < NC -> sleepers[at] = secondSleeps[at]; secondSleeps[at] = false; at++ :: else -> break od;
      at = 0
    };
    unlock()
  END;
  do
#ifndef M_SECOND_NOT_WOKEN
  :: at < NC && sleepers[at] -> secondWoken[at] = true; at++
  :: at < NC && !sleepers[at] -> at++
#endif
  :: else -> at = 0; break
  od
}

proctype Closer(byte me; byte loans) {
  bool first, quiet, tooLate, wakes;
  byte at, after;
  bool sleepers[NC + 1];
  bool taken[NOPS], turned[NOPS];

  if
  :: loans > 0 ->
     atomic {                                                              /* PASS: the number is lent */
       if
       :: closing -> tooLate = true
       :: else -> references++; usingAny++
       fi
     };
     if :: !tooLate -> atomic { systemCall(plain) } :: else -> goto gone fi
  :: else
  fi;
  CRITICAL
    lock();
    atomic {                                                               /* BEGIN_CLOSE */
      if
      :: closing -> first = false
      :: else ->
         first = true; closing = true;
#ifndef M_CLOSE_KEEPS_FLAG
         queued = false;
#endif
#ifndef M_CLOSER_COUNTS_NOT
         references++
#endif
      fi
    };
    d_step {
      if
      :: first ->
#ifndef M_QUEUE_NOT_REFUSED
         at = 0;
         do                                                                /* REFUSE_QUEUE */
         :: at < queueCount -> node[queue[at]] = refused; turned[queue[at]] = true; queue[at] = 0; at++
         :: else -> break
         od;
         queueCount = 0;
#endif
#ifndef M_PARKED_NOT_WOKEN
         at = 0;
         do                                                                /* WAKE_PARKED */
         :: at < NOPS && parked[at] ->
            parked[at] = false;
#ifdef M_WAKE_AFTER_MUTEX
            taken[at] = true;
#else
            if :: owns(at) -> taken[at] = true :: else -> wake(at) fi;
#endif
            at++
         :: at < NOPS && !parked[at] -> at++
         :: else -> break
         od;
#endif
         at = 0
      :: else
      fi
    };
#ifdef M_WAKE_UNDER_MUTEX
    wakeOthers();
#endif
    unlock()
  END;

  if
#ifndef M_LOAN_WAITS_FOR_FIRST
  :: !first && loans > 0 -> skip
  :: !first && loans == 0 ->
#else
  :: !first ->
#endif
#ifndef M_SECOND_RETURNS
     CRITICAL                                                              /* SECOND_CLOSE */
       lock();
       d_step { if :: !reported -> secondSleeps[me] = true; quiet = true :: else fi };
       unlock()
     END;
     if
     :: quiet ->
        secondWoken[me];
#ifdef V_SECOND_WAITED
        assert(false)
#endif
     :: else
     fi
#endif
  :: first ->
#ifndef M_WAKE_UNDER_MUTEX
     wakeOthers();                                                         /* WAKE_OTHERS */
#endif
#ifdef M_DESTROY_EARLY
     destroy();
#endif
#ifndef M_QUIESCENCE_NOT_AWAITED
#ifdef M_QUIESCENT_SPLIT
     atomic { quiet = (references == 1 + loans) };                                 /* checks, and sleeps later */
#endif
     CRITICAL                                                              /* QUIESCENT */
       lock();
#ifdef M_LOAN_NOT_COUNTED
       atomic { quiet = (references == 1) };
#else
#ifndef M_QUIESCENT_SPLIT
       atomic { quiet = (references == 1 + loans) };
#endif
#endif
       d_step { if :: !quiet -> closerSleeps = true; closerLoans = loans :: else fi };
       unlock()
     END;
     if
     :: quiet
     :: !quiet ->
        closerWoken;
#ifdef V_CLOSER_SLEPT
        assert(false)
#endif
     fi;
#endif
     atomic { systemCall(plain); assert(usingAny == loans); closerAlone = true };  /* POLICY: I8 */
     d_step { closerAlone = false; systemCall(plain) };
#ifdef M_DESTROY_BEFORE_LEAVE
     destroy();
#endif
     atomic { assert(references > 0); references--; after = references };  /* LEAVE */
     if
     :: after == 0 -> destroy(); tellReleased()
#ifdef M_LOAN_RELEASES
     :: after > 0 -> destroy()
#endif
#ifdef M_RELEASED_WITH_LOAN
     :: after > 0 -> tellReleased()
#endif
     :: else
     fi
  fi;
  if
  :: loans > 0 ->
     /* the caller uses the lent number once more; then the loan ends */
     atomic { systemCall(plain) };
     atomic { usingAny--; assert(references > 0); references--; after = references };   /* LEAVE */
     if
     :: after == 0 -> destroy(); tellReleased()
     :: else -> wakeCloser()
     fi
  :: else
  fi;
  if :: !first && loans > 0 -> goto gone :: else fi;
  atomic {
    closeReturned = true;
    assert(reported);                                                      /* I11 */
    assert(usingAny == 0);                                                 /* I3 */
    assert(table != A);                                                    /* I3 */
    first = false; quiet = false; after = 0
  };
gone:
  atomic { first = false; quiet = false; tooLate = false; after = 0; at = 0 }
}

/* another part of the program: open(2) assigns A's number as soon as it is free */
proctype Opener() {
  if
  :: atomic { table == 0 -> table = STRANGER }
  :: skip
  fi
}

init {
  byte i;
  atomic {
#ifndef PEER_TALKS
    if :: silent = false :: silent = true fi;
#endif
    do :: timeouts < TIMEOUTS -> timeouts++ :: break od;
    i = 0;
    do :: i < NR -> run Operation(i, reading); i++ :: else -> break od;
    do :: i < NR + NW -> run Operation(i, writing); i++ :: else -> break od;
    do :: i < NOPS -> run Operation(i, plain); i++ :: else -> break od;
    i = 0;
    do
    :: i < NL -> run Closer(i, 1); i++
    :: i >= NL && i < NC -> run Closer(i, 0); i++
    :: else -> break
    od;
    run Opener();
    i = 0
  };
  atomic {
    _nr_pr == 1 ->                                                         /* all others have ended */
    assert(references == 0 && !readerBit && !writerBit && !queued && queueCount == 0 && !mutex);   /* I9 */
    do :: i < NOPS -> assert(!parked[i] && !wakeOpen[i]); i++ :: else -> break od;
    assert(closes == (NC > 0)); assert(usingAny == 0)
  }
}
