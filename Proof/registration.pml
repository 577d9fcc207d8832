/* registration.pml: a registration at an event loop, where tasks wait for a socket and are resumed.
 *
 * This is the model of Sources/Fin/EventLoop/Registration.swift, with as much of its loop as needed: every step that another
 * thread can see has a name here; the code names the step that it implements. A reader, a writer and a watcher (a close
 * that waits for any change) share one registration at one loop. Their peer sends and acknowledges. It may fall silent
 * at any time if something else is sure to end the waits: CLOSE, CANCEL, TIME or STOP. With -DSILENT it never begins.
 *
 *  step        how it is atomic      what it does
 *  ----------  --------------------  -----------------------------------------------------------------------------
 *  HEAR        the gate's PARK       a close that begins from now on wakes the registration
 *  OFFER       one store             from now on other tasks find the registration, and wait here
 *  KNOW        one load              the word: readiness bits, and the count of changes
 *  CLEAR       one CAS               the bits off; no effect if anything has changed since the word was read
 *  NOTE        one CAS               the bits on, changes + 1
 *  BEGIN       mutex                 stopped, closing, cancelled or ready by now: no wait; else into the list. Each
 *                                    condition is checked in a step of its own, and other threads run in between. The
 *                                    watcher learns by the count that it is cut short, and takes no other lock here
 *  EARLIER     the table's mutex     the loop checks by this deadline; if it is the first of all, its poller is woken
 *  DELIVER     NOTE, load, TAKE      the tasks whose condition the word now meets go on, ready
 *  WAKE        NOTE, TAKE            all waiters check again
 *  STOP        mutex, NOTE, TAKE     no wait begins any more; all waiters are resumed as stopped
 *  CANCEL      TAKE                  the task has been marked as cancelled before; resumes only this task, which waits
 *                                    at one registration at a time. With -DSCOPED its scope has the cancellation
 *                                    handler, which does WAKE
 *  EXPIRE      TAKE, mutex           the waiters whose deadlines have passed; then the time of the next check, from the
 *                                    remaining waiters
 *  TAKE        mutex, then resumes   all matching waiters out of the list at one moment: a task that waits again
 *                                    meanwhile is not among them; each is resumed when the mutex is free
 *
 * The promises (assertions, and no state in which a process waits forever):
 *  T1  resumed once       a continuation is resumed exactly once, by the process that took it out of the list
 *  T2  true reasons       no wait ends for a deadline, a cancellation or a stop that has not come
 *  T3  nothing left       when all processes have ended, the list is empty
 * No task stays parked while there is input, room, EOF, a close, a cancellation, a deadline that has passed, or a stop:
 * the model has no other end states (Spin: "invalid end state").
 *
 * The kernel: an arrival is an edge; several edges that have not been taken yet are one. An event reports what is true
 * when it is taken.
 */

#ifndef READER
#define READER 1
#endif
#ifndef WRITER
#define WRITER 0
#endif
#ifndef WATCHER
#define WATCHER 0
#endif
#ifndef UNITS
#define UNITS 2                  /* what the peer sends, and what it makes room for */
#endif
#ifndef ENDS
#define ENDS 1                   /* whether the peer finishes sending, and the reader waits for that */
#endif
#if defined(CLOSE) || defined(CANCEL) || defined(TIME) || defined(STOP)
#define ENDED                    /* something is sure to end every wait */
#endif
#define NT 3                     /* 0 reads, 1 writes, 2 watches */
#define NEVER 9
#define LAST 2                   /* the clock's last tick */

mtype = { ready, look, timedOut, cancelled, stopped };

/* the word */
bool input, output, mixed;
byte changes;

/* what the seat's mutex protects */
bool mutex;
bool waits[NT];
byte since[NT], deadline[NT];
byte alarm = NEVER;
bool isStopped;

/* the loop and its poller */
byte due = NEVER;                /* when it will check this registration */
bool bell, loopEnds;

/* the kernel */
byte queue, room;                /* unread units; room for units */
bool ended, acknowledged;        /* the peer's FIN is here; the peer has all of ours */
bool watched, edge;

/* the tasks */
bool live[NT];                   /* a continuation that has not been resumed yet */
bool resumed[NT];
mtype word[NT];                  /* the reason for which its wait ended */
bool isCancelled[NT], handler[NT];
bool cutting;                    /* the lock under which a close in a task is cut short */
bool inGate, isClosing;          /* the close wakes this registration; the close has begun */
byte now;

#define lock   atomic { !mutex -> mutex = true }
#define unlock mutex = false
#define met(t) ((t == 0 && sawInput) || (t == 1 && sawOutput) || (t == 2 && sawChanges != since[t]))

inline resume(t, what) {
  atomic {
    assert(live[t]);                                                       /* T1 */
    live[t] = false; word[t] = what; resumed[t] = true
  }
}

inline note(i, o, m) {                                                     /* NOTE */
  atomic {
    input = input || i; output = output || o; mixed = mixed || m;
#ifdef M_UNCOUNTED
    changes = changes + (!(i || o))
#else
    changes++
#endif
  }
}

/* takes all waiters that MEANT matches at one moment; `t` is a variable of the caller */
#define TAKE(MEANT, what)                                                               \
  atomic {                                                                              \
    !mutex ->                                                                           \
    t = 0;                                                                              \
    do                                                                                  \
    :: t < NT && waits[t] && (MEANT) && !(ONLY_ONE && last) ->                          \
       KEPT; taken[t] = true; last = true; t++                                          \
    :: t < NT && !(waits[t] && (MEANT) && !(ONLY_ONE && last)) -> t++                   \
    :: t == NT -> break                                                                 \
    od;                                                                                 \
    t = 0; last = false                                                                 \
  };                                                                                    \
  do                                                                                    \
  :: t < NT && taken[t] -> resume(t, what); taken[t] = false; t++                       \
  :: t < NT && !taken[t] -> t++                                                         \
  :: t == NT -> t = 0; break                                                            \
  od

#ifdef M_NOT_TAKEN
#define KEPT skip
#else
#define KEPT waits[t] = false
#endif
#ifdef M_FIRST_ONLY
#define ONLY_ONE true
#endif
#ifndef ONLY_ONE
#define ONLY_ONE false
#endif

/* ---------------------------------------------------------------------------------------------------- */

/* sets `over` to the reason for which the wait ended */
inline park(id) {
  /* if the task is cancelled already, its handler runs at once and finds no waiter */
  handler[id] = true;
  atomic { live[id] = true; resumed[id] = false };
  over = 0;
#ifdef M_CHECKED_BEFORE
  if :: isStopped -> over = stopped :: else fi;
  if :: over == 0 && id != 2 && isClosing -> over = look :: else fi;
  if :: over == 0 && isCancelled[id] -> over = cancelled :: else fi;
  if :: over == 0 && (id == 0 && input || id == 1 && output || id == 2 && changes != since[id]) -> over = ready :: else fi;
  lock;
#else
  lock;                                                                    /* BEGIN */
#ifndef M_STOP_FORGOTTEN
  if :: isStopped -> over = stopped :: else fi;
#endif
#ifndef M_CLOSE_FORGOTTEN
  if :: over == 0 && id != 2 && isClosing -> over = look :: else fi;
#endif
#ifdef M_LOCKS_CROSSED
  if
  :: id == 2 -> atomic { !cutting -> cutting = true }; if :: isClosing -> over = look :: else fi; cutting = false
  :: else
  fi;
#endif
#ifndef M_CANCEL_FORGOTTEN
  if :: over == 0 && isCancelled[id] -> over = cancelled :: else fi;
#endif
#ifndef M_READY_FORGOTTEN
  if
  :: over == 0 && (id == 0 && input || id == 1 && output || id == 2 && changes != since[id]) -> over = ready
  :: else
  fi;
#endif
#endif
  earlier = false;
  if
  :: over == 0 ->
     waits[id] = true;
     if :: deadline[id] < alarm -> alarm = deadline[id]; earlier = true :: else fi
  :: else
  fi;
  unlock;
#ifdef V_NO_WAIT
  assert(over != V_NO_WAIT);
#endif
  if
  :: over != 0 -> resume(id, over)
  :: over == 0 && earlier ->
     atomic {                                                              /* EARLIER */
       if
       :: deadline[id] < due ->
          due = deadline[id];
#ifndef M_LOOP_NOT_WOKEN
          bell = true
#endif
       :: else
       fi
     }
  :: else
  fi;
  resumed[id];
  atomic {
    over = word[id]; handler[id] = false; resumed[id] = false;
    assert(!live[id] && !waits[id])                                        /* T1 */
    assert(over != cancelled || isCancelled[id]);                          /* T2 */
    assert(over != timedOut || now >= deadline[id]);                       /* T2 */
    assert(over != stopped || isStopped)                                   /* T2 */
  };
#ifdef SCOPED
  if :: over == look && isCancelled[id] -> over = cancelled :: else fi;    /* found when it checks again */
#endif
#ifdef V_TOLD
  assert(over != V_TOLD);
#endif
}

/* each operation has a deadline of its own */
inline newDeadline(id) {
#ifdef TIME
  if :: deadline[id] = 1 :: deadline[id] = LAST fi
#else
  deadline[id] = NEVER
#endif
}

inline offer() {                                                            /* OFFER: present state = first event */
  atomic {
    if
    :: !watched -> watched = true; edge = edge || queue > 0 || room > 0 || ended || acknowledged
    :: else
    fi
  }
}
/* the first wait creates the registration; the wait itself sees a close that has begun already */
inline sit() {
  if
  :: watched
  :: !watched ->
#ifdef M_OFFERED_UNHEARD
     offer();
#endif
     atomic { inGate = inGate || !isClosing };                             /* HEAR: the gate's PARK */
#ifndef M_OFFERED_UNHEARD
     offer()
#endif
  fi
}

#ifdef M_CLEAR_MIXED
#define CLEARS true
#else
#define CLEARS !sawMixed
#endif
/* receives until EOF, two units at a time; or sends, one at a time, until all units are taken */
proctype Operation(byte id) {
  byte seen, got, count, total;
  bool sawInput, sawOutput, sawMixed, known, earlier;
  mtype over;

  newDeadline(id);
  do
  :: over == cancelled || over == timedOut || over == stopped || isClosing -> break
  :: total == 1 || !(id == 0 && ENDS) && got == UNITS -> break
  :: else ->
     atomic { known = watched; seen = changes; sawInput = input; sawOutput = output; sawMixed = mixed };  /* KNOW */
     count = 0;
     if
     :: known && (id == 0 && !sawInput || id == 1 && !sawOutput) -> skip   /* not ready: no system call */
     :: else ->
        atomic {                                                           /* the system call */
          if
          :: id == 0 && queue > 0 -> count = (queue > 2 -> 2 : queue); queue = queue - count
          :: id == 0 && queue == 0 && ended -> total = 1
          :: id == 1 && room > 0 -> count = 1; room--
          :: else
          fi
        };
#ifdef M_KNOWN_AFTERWARDS
        atomic { seen = changes; sawInput = input; sawOutput = output; sawMixed = mixed };
#endif
        got = got + count;
        if
        :: known && total == 0 && (count == 0 || id == 0 && count < 2 && CLEARS) ->
           atomic {                                                        /* CLEAR */
             if
#ifndef M_CLEAR_BLIND
             :: changes == seen && input == sawInput && output == sawOutput && mixed == sawMixed ->
#else
             :: true ->
#endif
                if :: id == 0 -> input = false :: else -> output = false fi;
                if :: id == 0 && count == 0 -> mixed = false :: else fi
#ifndef M_CLEAR_BLIND
             :: else ->
#ifdef V_NEWS_CAME
                assert(false);
#endif
                skip
#endif
             fi
           }
        :: else
        fi
     fi;
     if
     :: count > 0 -> newDeadline(id)                                       /* done; the next operation */
     :: count == 0 && total == 0 ->
        sit();
        park(id)
     :: else
     fi
  od
}

/* a close in a task: until the peer has acknowledged everything, or the close is cut short */
proctype Watcher() {
  bool earlier, isDone;
  mtype over;
  newDeadline(2);
  do
  :: isDone || isClosing || over == cancelled || over == timedOut || over == stopped -> break
  :: else ->
#ifndef M_SINCE_AFTERWARDS
     since[2] = changes;                                                   /* before the check */
#endif
     if :: isClosing -> break :: else fi;
     isDone = acknowledged;
#ifdef M_SINCE_AFTERWARDS
     since[2] = changes;
#endif
     if
     :: isDone
     :: !isDone && watched -> park(2)
     :: !isDone && !watched -> sit()                                       /* and checks again */
     fi
  od
}

/* the thread that waits in epoll_wait(2) and delivers the events */
proctype Loop() {
  byte until, t, sawChanges;
  bool i, o, m, sawInput, sawOutput, last, isEvent, taken[NT];
  do
  :: loopEnds -> break
  :: else ->
     until = due;
end:
     if
     :: edge || bell || now >= until || loopEnds
     fi;
     atomic {
       isEvent = edge; edge = false; bell = false;
       i = queue > 0 || ended; o = room > 0; m = ended
     };
     if
     :: isEvent ->                                                         /* DELIVER */
#ifndef M_LOCK_BEFORE_WORD
        note(i, o, m);
        atomic { sawInput = input; sawOutput = output; sawChanges = changes };
        TAKE(met(t), ready)
#else
        atomic { sawInput = input || i; sawOutput = output || o; sawChanges = changes + 1 };
        TAKE(met(t), ready);
        note(i, o, m)
#endif
     :: else
     fi;
     atomic { i = false; o = false; m = false; isEvent = false; sawInput = false; sawOutput = false; sawChanges = 0 };
     if
     :: now >= due ->                                                      /* EXPIRE */
        due = NEVER;
        until = now;
        TAKE(deadline[t] <= until, timedOut);
        atomic {
          !mutex ->
          alarm = NEVER; t = 0;
#ifndef M_ALARM_FORGOTTEN
          do
          :: t < NT -> if :: waits[t] && deadline[t] < alarm -> alarm = deadline[t] :: else fi; t++
          :: else -> t = 0; break
          od;
#endif
          until = alarm
        };
#ifndef M_NOT_ENTERED_AGAIN
        atomic { if :: until < due -> due = until :: else fi };
#endif
        until = 0
     :: else
     fi
  od
}

proctype Peer() {
  byte sent, made;
#ifdef SILENT
  bool isOver = true;
#else
  bool isOver;
#endif
  do
  :: atomic { !isOver && READER && sent < UNITS -> queue++; sent++; if :: watched -> edge = true :: else fi }
  :: atomic { !isOver && READER && ENDS && sent == UNITS && !ended -> ended = true; if :: watched -> edge = true :: else fi }
  :: atomic { !isOver && WRITER && made < UNITS -> room++; made++; if :: watched -> edge = true :: else fi }
  :: atomic { !isOver && WATCHER && !acknowledged -> acknowledged = true; if :: watched -> edge = true :: else fi }
#ifdef ENDED
  :: !isOver -> isOver = true                                              /* silent from here on */
#endif
  :: (isOver || (!READER || sent == UNITS && (ended || !ENDS)) && (!WRITER || made == UNITS) && (!WATCHER || acknowledged)) -> break
  od
}

#ifdef CLOSE
proctype Closer() {
  byte t; bool last, isHeard, taken[NT];
#ifdef M_LOCKS_CROSSED
  atomic { !cutting -> cutting = true };
#endif
  atomic { isClosing = true; isHeard = inGate };
  if
  :: isHeard ->                                                            /* WAKE */
     note(false, false, false);
     TAKE(true, look)
  :: else
  fi;
  cutting = false
}
#endif

#ifdef CANCEL
#ifdef M_ANY_TASK
#define MINE true
#else
#define MINE t == who
#endif
proctype Canceller() {
  byte who, t; bool last, runs, taken[NT];
  do
  :: who < NT ->
     atomic { isCancelled[who] = true; runs = handler[who] };
     if
#ifdef SCOPED
     :: watched -> note(false, false, false); TAKE(true, look)              /* CANCEL, by the task's scope */
#else
     :: runs -> TAKE(MINE, cancelled)                                      /* CANCEL */
#endif
     :: else
     fi;
     who++
  :: else -> break
  od
}
#endif

#ifdef STOP
proctype Stopper() {
  byte t; bool last, taken[NT];
  lock; isStopped = true; unlock;                                          /* STOP */
  note(false, false, false);
  TAKE(true, stopped);
  loopEnds = true
}
#endif

#ifdef TIME
proctype Clock() { now = 1; now = LAST }
#endif

init {
  atomic {
    byte i;
    i = 0;
    do :: i < NT -> deadline[i] = NEVER; i++ :: else -> break od;
    run Loop();                    /* first: a Spin process can end only after all that were started later */
    if :: READER -> run Operation(0) :: else fi;
    if :: WRITER -> run Operation(1) :: else fi;
    if :: WATCHER -> run Watcher() :: else fi;
    run Peer();
#ifdef CLOSE
    run Closer();
#endif
#ifdef CANCEL
    run Canceller();
#endif
#ifdef STOP
    run Stopper();
#endif
#ifdef TIME
    run Clock();
#endif
    i = 0
  };
  /* the tasks, and the processes that end their waits, have ended; the loop goes on waiting */
  atomic {
    _nr_pr <= 2 ->
    assert(!waits[0] && !waits[1] && !waits[2] && !mutex)                  /* T3 */
  }
}
